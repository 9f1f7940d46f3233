"""Views that are views of a turned image."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.operators.turns import QUARTERS, Turn, blocks, first_turn

ALL = [
    Turn(rows, columns, transposed)
    for rows in (False, True)
    for columns in (False, True)
    for transposed in (False, True)
]


@pytest.mark.parametrize("turn", ALL)
def test_a_turn_is_undone(turn: Turn) -> None:
    x = torch.rand(2, 3, 5)
    turned = turn.applied(x)
    assert torch.equal(turn.undone(turned), x)
    assert torch.equal(turned, x) == (turn == Turn(False, False, False))


@pytest.mark.parametrize("degrees", [0.0, 12.0, 45.0, 50.0, 90.0, 135.0, 200.0, 301.0, -20.0, 755.5])
@pytest.mark.parametrize("mirrored", [False, True])
def test_the_turned_image_is_seen_from_the_first_angle(degrees: float, mirrored: bool) -> None:
    """The position of a point along the detector stays, and without a mirror its distance too."""
    angle, turn = first_turn(degrees, mirrored=mirrored)
    assert 0 <= angle <= (45 if mirrored else 90)
    x = torch.zeros(7, 7)
    x[1, 5] = 1

    def seen(image: torch.Tensor, t: float) -> tuple[float, float]:
        (r,), (c,) = np.nonzero(image.numpy())
        r, c = r - 3, c - 3
        return c * np.cos(t) - r * np.sin(t), c * np.sin(t) + r * np.cos(t)

    before, after = seen(x, np.radians(degrees)), seen(turn.applied(x), np.radians(angle))
    assert after[0] == pytest.approx(before[0])
    assert mirrored or after[1] == pytest.approx(before[1])


def test_the_quarters_are_all_different() -> None:
    assert len(set(QUARTERS)) == 4


def test_each_view_is_in_one_block_once() -> None:
    degrees = [0.0, 10.0, 100.0, 80.0, 170.0, 10.0, 45.0, 45.0 + 1e-12, 33.0, 190.0]
    for mirrored in (False, True):
        for square in (False, True):
            found = blocks(degrees, mirrored=mirrored, square=square, most=2)
            places = [view for block in found for views in block.places.values() for view in views]
            assert sorted(places) == list(range(10))
            assert all(len(block.angles) <= 2 for block in found)
            assert all(len(views) == len(block.angles) for block in found for views in block.places.values())


def test_evenly_spaced_views_need_few_matrices() -> None:
    degrees = [180 * k / 720 for k in range(720)]
    assert sum(len(block.angles) for block in blocks(degrees, mirrored=True, square=True, most=4)) == 181
    assert sum(len(block.angles) for block in blocks(degrees, mirrored=False, square=True, most=4)) == 360
    assert sum(len(block.angles) for block in blocks(degrees, mirrored=True, square=False, most=4)) == 362
