"""Seeds from names."""

from __future__ import annotations

import os

from idmcli.seeds import item_seed


def test_seeds_of_items_are_fixed_and_differ() -> None:
    assert item_seed(0, "a.png") == 3325714861  # printf 0/a.png | sha256sum, first 8 digits; files depend on it
    seeds = {item_seed(seed, item) for seed in (0, 1, 12) for item in ("a.png", "b.png", "2.png", "a.png/noise")}
    assert len(seeds) == 12 and all(0 <= seed < 2**32 for seed in seeds)
    assert item_seed(0, os.fsdecode(b"\xff.png")) != item_seed(0, "ff.png")
