"""Small JSON records: one line each, and read with care, since files may come from anywhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from idmcli.errors import InputError
from idmcli.io.files import require_file

MAX_DEPTH = 32
MAX_LENGTH = 16_000_000


def to_line(content: Any) -> str:
    """``content`` as one line of ASCII; equal contents give equal lines.

    Raises:
        ValueError: it holds a number that is not finite.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_text(text: str, *, max_length: int = MAX_LENGTH) -> Any:
    """The record that :func:`to_line` wrote.

    Raises:
        ValueError: it is no JSON, longer than ``max_length`` characters or nested too deeply.
    """
    if len(text) > max_length:
        raise ValueError(f"{len(text)} characters of JSON, more than {max_length}")
    try:
        content = json.loads(text)
    except RecursionError:
        raise _too_deep() from None
    check_depth(content)
    return content


def read_object(path: Path, hint: str) -> dict[str, Any]:
    """The JSON object in a file.

    Args:
        path: of the file.
        hint: what to do where it holds none.

    Raises:
        InputError: the file is missing or cannot be read, or holds something else.
    """
    require_file(path)
    try:
        with path.open("rb") as file:
            content = from_text(file.read(MAX_LENGTH + 1).decode())
    except OSError as error:
        raise InputError(f"{str(path)!r} cannot be read: {error.strerror}", hint) from error
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise InputError(f"{str(path)!r} is damaged: it holds no JSON object", hint)
    return content


def check_depth(content: Any) -> None:
    """ValueError if lists and mappings are nested more than :data:`MAX_DEPTH` deep."""
    level = [content]
    for _ in range(MAX_DEPTH + 1):
        level = [value for value in level if isinstance(value, list | dict)]
        if not level:
            return
        level = [part for value in level for part in (value.values() if isinstance(value, dict) else value)]
    raise _too_deep()


def _too_deep() -> ValueError:
    return ValueError(f"nested more than {MAX_DEPTH} deep")
