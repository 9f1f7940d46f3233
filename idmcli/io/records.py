"""Small JSON records: one line each, and read with care, since files may come from anywhere."""

from __future__ import annotations

import json
from typing import Any

MAX_DEPTH = 32
MAX_LENGTH = 16_000_000


def to_line(content: Any) -> str:
    """``content`` as one line of ASCII; equal contents give equal lines.

    Raises:
        ValueError: it holds a number that is not finite.
    """
    return json.dumps(content, sort_keys=True, separators=(",", ":"), allow_nan=False)


def from_text(text: str, *, max_length: int = MAX_LENGTH) -> Any:
    """What :func:`to_line` wrote.

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
