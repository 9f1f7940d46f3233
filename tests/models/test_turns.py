"""The eight turns of an image."""

from __future__ import annotations

import torch

from idmcli.models.turns import TURNS, turn, turn_back
from tests.small import random


def test_there_are_eight_and_each_can_be_undone() -> None:
    x = random(2, 3, 4, 4)
    views = [turn(x, number) for number in range(TURNS)]
    assert all(not torch.equal(a, b) for i, a in enumerate(views) for b in views[:i])
    assert torch.equal(views[0], x)
    oblong = random(1, 2, 5, 8)
    assert all(torch.equal(turn_back(turn(oblong, number), number), oblong) for number in range(TURNS))
