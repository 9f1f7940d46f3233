"""Amounts of memory, as people write them."""

from __future__ import annotations

import re
from fractions import Fraction

DECIMAL = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
BINARY = {"kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}


def parse_size(text: str | float) -> int:
    """Bytes, from "15GiB", "1.5 TB", "2e9" or a number.

    Raises:
        ValueError: it is none of these, or out of range; the message says what is expected.
    """
    match = re.fullmatch(r"(\d{1,20}(?:\.\d{1,20})?(?:e\+?\d{1,2})?) ?([a-z]*)", str(text).strip().lower())
    factor = (DECIMAL | BINARY).get(match[2]) if match else None
    if match is None or factor is None or isinstance(text, bool):
        raise ValueError("a size such as 15GiB, 800MB or 2e9")
    size = int(Fraction(match[1]) * factor)
    if not 1 <= size < 2**63:
        raise ValueError("a size between 1 byte and 8 million TiB")
    return size


def format_size(size: float) -> str:
    """Bytes in the largest binary unit that they fill, "15.00 GiB" for example."""
    unit, factor = "B", 1
    for name, value in BINARY.items():
        if abs(size) >= value:
            unit, factor = f"{name[0].upper()}iB", value
    return f"{size / factor:.0f} B" if factor == 1 else f"{size / factor:.2f} {unit}"
