"""Seeds that depend on names and contents, never on an order."""

from __future__ import annotations

import hashlib


def item_seed(seed: int, item: str) -> int:
    """A seed in [0, 2^32) from a seed and a name, so that no result depends on the order of the files."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{item}".encode("utf-8", "surrogateescape")).digest()[:4], "big")
