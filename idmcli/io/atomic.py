"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from idmcli.errors import InputError, ResourceError


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what was written there replaces ``path`` on success.

    The temporary file is flushed to the disk before it takes the name, and the folder after, so a
    crash or a power loss leaves the old file or the new one. Whatever ends the block early
    (Ctrl-C included) removes the temporary file and leaves ``path`` as it was.

    Raises:
        InputError: ``path`` is a folder.
        ResourceError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, so no file can be written under that name")
    temporary = path.parent / f".idm-{secrets.token_hex(8)}.tmp"
    try:
        os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        if error.errno is None:  # raised by a library about its arguments, not by the system
            raise
        raise _cannot_write(path.parent, error) from error
    finally:
        temporary.unlink(missing_ok=True)  # no longer there after os.replace


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path`` atomically; errors as :func:`atomic_path`."""
    with atomic_path(path) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically as UTF-8, line ends unchanged; errors as :func:`atomic_path`."""
    write_bytes(path, text.encode("utf-8"))


def ensure_writable(folder: Path) -> None:
    """Create ``folder`` if it is missing and prove that a file can be made in it: before long work, not after.

    Raises:
        InputError: ``folder`` is, or lies under, something that is not a folder.
        ResourceError: it cannot be created or written to.
    """
    folder = Path(folder)
    probe = folder / f".idm-{secrets.token_hex(8)}.tmp"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
    except (FileExistsError, NotADirectoryError) as error:
        raise InputError(f"{str(folder)!r} is not a folder", "name another output folder") from error
    except OSError as error:
        raise _cannot_write(folder, error) from error


def _flush(path: Path) -> None:
    """fsync a file, or a folder so that a rename inside it survives a power loss."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_write(folder: Path, error: OSError) -> ResourceError:
    free = ""
    if folder.is_dir():
        free = f"; {shutil.disk_usage(folder).free / 2**20:.0f} MiB are free there"
    return ResourceError(
        f"cannot write to the folder {str(folder)!r}: {error.strerror or error}{free}",
        "free some space, or choose another output folder",
    )
