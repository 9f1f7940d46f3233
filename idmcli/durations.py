"""Durations for people."""

from __future__ import annotations


def format_duration(seconds: float) -> str:
    """Seconds in the unit that suits them: "40 s", "12 min", "5.2 h", "17 days".

    >>> format_duration(700)
    '12 min'
    """
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    if seconds < 48 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86_400:.0f} days"
