"""Masks, and inpainting with them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import torch

from idmcli.errors import InputError
from idmcli.operators import MRI, Inpainting
from idmcli.operators.masks import (
    cartesian_equispaced,
    cartesian_random,
    negate_frequencies,
    radial,
    random_pixels,
    strokes,
    to_centre,
    to_corner,
)

SHAPES = [(16, 16), (15, 17), (12, 31), (1, 8)]


@pytest.mark.parametrize("shape", SHAPES)
def test_dc_conventions(shape: tuple[int, int]) -> None:
    corner = np.zeros(shape, bool)
    corner[0, 0] = True
    centre = to_centre(corner)
    assert np.argwhere(centre).tolist() == [[shape[0] // 2, shape[1] // 2]]
    mask = np.random.Generator(np.random.PCG64(0)).random(shape) < 0.5
    assert (to_corner(to_centre(mask)) == mask).all()


@pytest.mark.parametrize("shape", SHAPES)
def test_negation_against_the_transform(shape: tuple[int, int]) -> None:
    """The spectrum of a real image at -k is the conjugate of the one at k."""
    spectrum = np.fft.fft2(np.random.Generator(np.random.PCG64(0)).random(shape))
    np.testing.assert_allclose(negate_frequencies(spectrum), spectrum.conj(), atol=1e-12)  # type: ignore[arg-type]


@pytest.mark.parametrize("shape", [(20, 64), (21, 63), (8, 100)])
@pytest.mark.parametrize("acceleration", [1, 2, 4, 8])
@pytest.mark.parametrize("random", [False, True])
def test_cartesian(shape: tuple[int, int], acceleration: int, random: bool) -> None:
    make = cartesian_random if random else cartesian_equispaced
    mask = make(shape, acceleration=acceleration, centre_fraction=0.06)
    assert (mask == mask[:1]).all()
    assert mask[0].sum() == round(shape[1] / acceleration)
    centre = round(0.06 * shape[1])
    first = shape[1] // 2 - centre // 2
    assert to_centre(mask)[0, first : first + centre].all()
    assert to_centre(mask)[0, shape[1] // 2]


def test_equispaced_lines_are_even() -> None:
    columns = np.flatnonzero(to_centre(cartesian_equispaced((4, 128), acceleration=4, centre_fraction=0))[0])
    assert np.diff(columns).tolist() == [4] * 31


def test_random_lines_follow_the_seed() -> None:
    one, same, other = (cartesian_random((4, 64), acceleration=4, seed=s) for s in (1, 1, 2))
    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize("shape", [(64, 64), (63, 65), (40, 64)])
def test_radial(shape: tuple[int, int]) -> None:
    previous = np.zeros(shape, bool)
    for lines in (1, 2, 4, 8):
        mask = radial(shape, lines=lines)
        assert (mask == negate_frequencies(mask)).all()
        assert (mask | previous == mask).all()  # doubling the lines keeps the old ones
        assert mask[0, 0]
        previous = mask
    assert radial(shape, lines=1)[0].all()
    assert radial(shape, lines=1).sum() == shape[1]


@pytest.mark.parametrize("fraction", [0.1, 0.3, 0.5, 1.0])
def test_radial_fraction(fraction: float) -> None:
    kept = radial((128, 128), fraction=fraction).mean()
    assert fraction <= kept < fraction + 0.02


@pytest.mark.parametrize(
    ("shape", "options"),
    [((1, 60_000_000), {"fraction": 0.1}), ((60_000_000, 1), {"lines": 20}), ((8000, 8000), {"lines": 100_000})],
)
def test_a_radial_mask_that_would_take_minutes_is_refused_before_it_is_drawn(
    shape: tuple[int, int], options: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match="too large to be drawn"):
        radial(shape, **options)


def test_random_pixels_count() -> None:
    assert random_pixels((10, 13), ratio=0.25).sum() == round(0.25 * 130)
    assert random_pixels((10, 10), ratio=1e-6).sum() == 1
    assert random_pixels((4, 4), ratio=1).all()


def test_inpainting_keeps_the_pixels() -> None:
    mask = torch.tensor([[1, 0, 1], [0, 1, 1]])
    operator = Inpainting((2, 2, 3), mask)
    x = torch.arange(12.0).view(1, 2, 2, 3)
    assert operator.A(x).tolist() == [[[0, 2, 4, 5], [6, 8, 10, 11]]]
    assert torch.equal(operator.normal(x), x * mask)
    assert operator.ratio == pytest.approx(4 / 6)


@pytest.mark.parametrize(("width", "length"), [(1.0, None), (4.0, 30.0), (12.0, 12.0)])
def test_strokes_are_as_wide_and_lose_as_much_as_asked(width: float, length: float | None) -> None:
    mask = strokes((96, 120), ratio=0.9, width=width, length=length, seed=3)
    assert 0.9 - 1.3 * width * (length or 120) / mask.size <= mask.mean() <= 0.9
    depth = scipy.ndimage.distance_transform_edt(~np.pad(mask, 1, constant_values=True))
    assert width / 2 - 0.5 <= depth.max() <= width + 1.5  # two may cross
    assert np.array_equal(mask, strokes((96, 120), ratio=0.9, width=width, length=length, seed=3))
    assert not np.array_equal(mask, strokes((96, 120), ratio=0.9, width=width, length=length, seed=4))


def test_boxes_are_lost() -> None:
    operator = Inpainting((1, 5, 6), {"type": "boxes", "boxes": [[1, 2, 3, 4]]})
    expected = torch.ones(5, 6, dtype=torch.bool)
    expected[1:4, 2:6] = False
    assert torch.equal(operator.mask, expected)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(8, 8), "all zero"),
        (torch.full((8, 8), 255), "other than 0 and 1"),
        (torch.full((8, 8), 0.5), "other than 0 and 1"),
        (torch.full((8, 8), float("nan")), "other than 0 and 1"),
        (torch.ones(8, 7), "shape"),
        ({"type": "strokes", "ratio": 0.5, "width": 0}, "width of the strokes is 0"),
        ({"type": "strokes", "ratio": 0.5, "length": math.inf}, "length of the strokes is inf"),
        ({"type": "strokes", "ratio": 0.0}, "kept ratio"),
        ({"type": "boxes", "boxes": [[0, 0, 8, 8]]}, "all zero"),
        ({"type": "boxes", "boxes": [[0, 0, 9, 8]]}, "not inside"),
        ({"type": "boxes", "boxes": [[-1, 0, 2, 2]]}, "not inside"),
        ({"type": "boxes", "boxes": [[0, 0, 0, 2]]}, "not inside"),
        ({"type": "boxes", "boxes": [[0, 0, 2]]}, "no box"),
        ({"type": "boxes", "boxes": [3]}, r"'boxes\[0\]' of the 'boxes' mask is 3"),
        ({"type": "boxes", "boxes": [[0, 0, 2.5, 1]]}, r"'boxes\[0\]\[2\]' of the 'boxes' mask is 2.5"),
        ({"type": "random", "ratio": 0}, "kept ratio"),
        ({"type": "random", "ratio": float("nan")}, "kept ratio"),
        ({"type": "random", "ratio": 0.5, "seed": -1}, "mask seed"),
        ({"type": "random"}, "no key 'ratio'"),
        ({"type": "random", "ratio": 0.5, "sede": 1}, "unknown key 'sede'"),
        ({"type": "random", "ratio": "half"}, "'ratio'"),
        ({"type": "dots"}, "mask type"),
        ({}, "mask type"),
    ],
)
def test_bad_pixel_masks(mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        Inpainting((1, 8, 8), mask)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.zeros(8, 8), "all zero"),
        (torch.ones(8, 9), "shape"),
        ({"type": "equispaced", "acceleration": 0.5}, "acceleration"),
        ({"type": "equispaced", "acceleration": float("nan")}, "acceleration"),
        ({"type": "random", "acceleration": 100}, "acceleration"),
        ({"type": "random", "acceleration": 4, "centre_fraction": 0.9}, "centre alone"),
        ({"type": "random", "acceleration": 4, "centre_fraction": -1}, "centre fraction"),
        ({"type": "radial"}, "exactly one|either"),
        ({"type": "radial", "lines": 2, "fraction": 0.1}, "either"),
        ({"type": "radial", "lines": 0}, "number of lines"),
        ({"type": "radial", "fraction": 1.5}, "kept fraction"),
        ({"type": "boxes", "boxes": []}, "mask type"),
    ],
)
def test_bad_kspace_masks(mask: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        MRI((1, 8, 8), mask)
