"""Text that may come from anywhere, made safe to show."""

from __future__ import annotations

import re

# Controls, line separators, direction overrides and undecodable bytes could disguise a message.
UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def escape(text: str, *, keep: str = "") -> str:
    r"""The text with every character that could act on a terminal written out, except those in ``keep``.

    >>> print(escape("a\x1b[31mb\n"))
    a\x1b[31mb\n
    """
    return UNSAFE.sub(lambda match: match[0] if match[0] in keep else ascii(match[0])[1:-1], text)
