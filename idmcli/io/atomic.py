"""Files that are either wholly there or not there at all."""

from __future__ import annotations

import errno
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from idmcli.errors import IdmError, InputError, ResourceError

NO_LINKS = {errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS}  # where a file has one name only
LEFTOVER_SECONDS = 3600  # since the last write to a temporary file, before it counts as abandoned


@contextmanager
def atomic_path(path: Path, *, replace: bool = True) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; what was written there gets that name on success.

    Missing folders are made. A file of that name is replaced or, with ``replace`` false, kept: of two processes that
    write it at once, one succeeds.

    The temporary file is flushed to the disk before it takes the name, and the folder after, so a
    crash or a power loss leaves the old file or the new one. Whatever ends the block early
    (Ctrl-C included) removes the temporary file and leaves ``path`` as it was.

    Raises:
        InputError: ``path`` is a folder, or there is a file that may not be replaced.
        ResourceError: the folder cannot be written to, or the disk is full.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, so no file can be written under that name", "choose another name")
    temporary = path.parent / f".idm-{secrets.token_hex(8)}.tmp"
    with ExitStack() as stack:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stack.callback(temporary.unlink, missing_ok=True)  # no longer there after os.replace
            descriptor = os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o666)
            stack.callback(os.close, descriptor)
            _try_lock(descriptor)
            yield temporary
            _flush(temporary)
            if replace:
                os.replace(temporary, path)
            else:
                _link(temporary, path)
            _flush(path.parent)
        except OSError as error:
            if error.errno is None:  # raised by a library about its arguments, not by the system
                raise
            raise _cannot_write(path.parent, error) from error


def write_bytes(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write ``data`` to ``path`` atomically; ``replace`` and errors as for :func:`atomic_path`."""
    with atomic_path(path, replace=replace) as temporary:
        temporary.write_bytes(data)


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """:func:`write_bytes` for text in UTF-8, line ends unchanged."""
    write_bytes(path, text.encode("utf-8"), replace=replace)


def _link(temporary: Path, path: Path) -> None:
    """Give a file its name; InputError if that is taken."""
    try:
        try:
            os.link(temporary, path)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
            os.replace(temporary, path)
    except FileExistsError as error:
        raise InputError(f"{str(path)!r} exists already", "use --overwrite, or choose another --out") from error


def append_text(path: Path, text: str) -> None:
    """Add ``text`` at the end of a file, in UTF-8: all of it or, whatever goes wrong, nothing.

    Raises:
        ResourceError: the file cannot be written to, or the disk is full.
    """
    data = text.encode("utf-8", "surrogateescape")
    try:
        with path.open("ab", buffering=0) as file:
            end = file.tell()
            try:
                while data:
                    data = data[file.write(data) :]
            except BaseException:
                file.truncate(end)
                raise
    except OSError as error:
        raise _cannot_write(path.parent, error) from error


def remove_leftovers(folder: Path) -> None:
    """Remove what processes killed while they saved, an hour ago or more, have left in ``folder``."""
    for leftover in folder.glob(".idm-*.tmp"):
        with suppress(OSError), leftover.open("rb") as file:
            abandoned = time.time() - os.fstat(file.fileno()).st_mtime > LEFTOVER_SECONDS
            if abandoned and _try_lock(file.fileno()):
                leftover.unlink()


def _try_lock(descriptor: int) -> bool:
    """Mark a file as in use by this process, as long as the descriptor is open; False if another one has."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # also where a file system has no locks
        return False
    return True


def ensure_writable(folder: Path) -> None:
    """Prove that files can be made in ``folder``, be it there or not: before long work, not after.

    Nothing of the proof stays, not even the folder, so that a command that fails leaves none behind. What killed
    processes have left there is removed, see :func:`remove_leftovers`.

    Raises:
        InputError: ``folder`` is, or lies under, something that is not a folder.
        ResourceError: it cannot be created or written to.
    """
    folder = Path(folder)
    probe = folder / f".idm-{secrets.token_hex(8)}.tmp"
    missing = [place for place in (folder, *folder.parents) if not os.path.lexists(place)]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.touch(exist_ok=False)
        probe.unlink()
        remove_leftovers(folder)
        with suppress(OSError):  # in use by now
            for place in missing:
                place.rmdir()
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


def check_writable(folder: Path) -> None:
    """Like :func:`ensure_writable`, as far as can be told without writing anything."""
    there = next(parent for parent in [folder.absolute(), *folder.absolute().parents] if os.path.lexists(parent))
    if not there.is_dir():
        raise InputError(f"{str(folder)!r} is not a folder", "name another output folder")
    if not os.access(there, os.W_OK | os.X_OK):
        raise _cannot_write(there, OSError(errno.EACCES, os.strerror(errno.EACCES)))


def _cannot_write(folder: Path, error: OSError) -> IdmError:
    if error.errno == errno.ENAMETOOLONG:
        return InputError(f"the name of a file or folder in {str(folder)!r} is too long", "use a shorter name")
    free = ""
    if folder.is_dir():
        free = f"; {shutil.disk_usage(folder).free / 2**20:.0f} MiB are free there"
    return ResourceError(
        f"cannot write to the folder {str(folder)!r}: {error.strerror or error}{free}",
        "free some space, or choose another output folder",
    )
