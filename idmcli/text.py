"""Text and values that may come from anywhere, made safe to show and to write."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from os import PathLike
from typing import Any

# Controls, line separators, direction overrides and undecodable bytes could disguise a message.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str, *, keep: str = "") -> str:
    r"""The text with every character that could act on a terminal written out, except the characters in ``keep``.

    >>> print(escape("a\x1b[31mb\n"))
    a\x1b[31mb\n
    """
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], text)


def jsonable(value: Any) -> Any:
    """``value`` in JSON's types: non-finite numbers become None, paths strings, numpy scalars numbers."""
    if isinstance(value, Mapping):
        return {str(key): jsonable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [jsonable(item) for item in value]
    if isinstance(value, PathLike):
        return os.fspath(value)
    if not isinstance(value, str | int | float | None) and hasattr(value, "item"):
        value = value.item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
