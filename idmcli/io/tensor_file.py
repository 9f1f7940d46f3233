"""Self-describing safetensors: named tensors, a JSON record of what they are, and one checksum over both.

The record is the file's only metadata entry, so that equal contents give equal bytes:
``{key: {"sha256": ..., "record": text}}`` with the record as canonical JSON text.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.io.files import PERMISSIONS, require_file
from idmcli.io.records import from_text, to_line
from idmcli.text import escape

MAX_HEADER = 100_000_000  # bytes, by the format's own rule

Content = tuple[dict[str, Any], dict[str, Tensor]]


@dataclass(frozen=True)
class FileKind:
    """One sort of such files.

    Attributes:
        key: of the metadata entry.
        name: what users call such a file, in the singular.
        holds: what is in it.
        schema: the newest version of the record that can be read, and the one that is written.
        hint: where such files come from.
        older: reads the entry of files from before there was a checksum over the record; None if there are none.
    """

    key: str
    name: str
    holds: str
    schema: int
    hint: str
    older: Callable[[Path, dict[str, Any], dict[str, Tensor]], Content] | None = None


def write(
    path: Path, kind: FileKind, record: Mapping[str, Any], tensors: Mapping[str, Tensor], *, replace: bool = True
) -> None:
    """Write a file atomically; equal contents give equal bytes.

    Args:
        path: of the file.
        kind: what it will be.
        record: JSON-able, without a "schema".
        tensors: of any device and layout.
        replace: a file that exists.

    Raises:
        InputError: the file exists and may not be replaced.
        ResourceError: the folder cannot be written to.
    """
    plain = {name: _plain(tensor) for name, tensor in tensors.items()}
    text = to_line({"schema": kind.schema, **record})
    entry = json.dumps({"sha256": digest(text, plain), "record": text})
    write_bytes(path, save(plain, {kind.key: entry}), replace=replace)


def read(path: Path, kind: FileKind) -> Content:
    """The record (with its "schema") and the tensors of a file, every bit of them checked against the checksum.

    The tensors may be views of the file. Before any is made, sizes in the file are checked against its own size.

    Raises:
        InputError: the file is missing, a folder, unreadable, truncated or damaged, is of another kind, or was
            written by a newer version.
    """
    metadata, tensors = _open(path, kind)
    if kind.key not in metadata:
        raise InputError(f"{str(path)!r} is a safetensors file but holds no {kind.holds}", kind.hint)
    try:
        entry = from_text(metadata[kind.key])
        if kind.older is not None and "record" not in entry:
            return kind.older(path, entry, tensors)
        record = from_text(entry["record"])
        check_schema(path, kind, record["schema"])
        if entry["sha256"] != digest(entry["record"], tensors):
            raise InputError(f"{str(path)!r} is damaged: it does not match its checksum", "make or copy it again")
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        reason = f": {escape(str(error))}" if isinstance(error, ValueError) else ""
        sentence = f"{str(path)!r} is damaged: its metadata cannot be read{reason}"
        raise InputError(sentence, "make or copy it again") from error
    return record, tensors


def check_schema(path: Path, kind: FileKind, schema: object) -> None:
    """Raise InputError for a version of the record that is newer than this program, and TypeError for none."""
    if not isinstance(schema, int) or schema < 1:
        raise TypeError(schema)
    if schema > kind.schema:
        raise InputError(
            f"{str(path)!r} was written by a newer idm (schema {schema}; this version reads {kind.schema})",
            "update idm",
        )


def is_of_kind(path: Path, kind: FileKind) -> bool:
    """Whether a file's header, not its name, says that it is of a kind; what follows the header is not looked at.

    Raises:
        InputError: the file is missing, no plain file, or cannot be read.
    """
    return _entry(path, kind) is not None


def peek(path: Path, kind: FileKind) -> dict[str, Any]:
    """The header's entry under the key of a kind, not checked against anything; empty if there is none.

    Raises:
        InputError: as :func:`is_of_kind`.
    """
    try:
        entry = from_text(_entry(path, kind) or "")
        return dict(from_text(entry["record"]) if "record" in entry else entry)
    except (ValueError, TypeError):  # no JSON, or other JSON
        return {}


def _entry(path: Path, kind: FileKind) -> str | None:
    """The text under the key of a kind; None if the header has none."""
    if path.is_dir():
        return None
    require_file(path)
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length) if length <= MAX_HEADER else b"")
        return str(header["__metadata__"][kind.key])
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}", PERMISSIONS) from error
    except (ValueError, LookupError, TypeError, RecursionError):  # no JSON, or other JSON
        return None


def _open(path: Path, kind: FileKind) -> tuple[dict[str, str], dict[str, Tensor]]:
    if path.is_dir():
        raise InputError(f"{str(path)!r} is a folder, not a {kind.name}", kind.hint)
    if not path.exists():
        raise InputError(f"there is no {kind.name} {str(path)!r}", kind.hint)
    require_file(path)
    try:
        path.open("rb").close()
        with _openable(path) as name, safe_open(name, framework="pt") as file:
            return dict(file.metadata() or {}), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror or error}", PERMISSIONS) from error
    except (SafetensorError, ValueError, LookupError, TypeError, RuntimeError) as error:
        raise InputError(
            f"{str(path)!r} is not a readable {kind.name}: it is not safetensors, truncated, or damaged", kind.hint
        ) from error


@contextmanager
def _openable(path: Path) -> Iterator[str]:
    """A name of the file that safetensors can open: it takes UTF-8 alone."""
    name = str(path)
    if name.isascii() or name.encode("utf-8", "replace").decode() == name:
        yield name
        return
    with TemporaryDirectory() as folder:
        link = Path(folder) / "file"
        link.symlink_to(path.absolute())
        yield str(link)


def _plain(tensor: Tensor) -> Tensor:
    """A copy on the CPU whose memory holds the values as they read (no lazy conjugate, no sharing)."""
    return tensor.detach().cpu().resolve_conj().resolve_neg().clone(memory_format=torch.contiguous_format)


def digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """The sha256 of the record's text and of each tensor's name, type, shape and bytes."""
    sha = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        sha.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return sha.hexdigest()
