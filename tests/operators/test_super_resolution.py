"""Super-resolution: its two filters against PyTorch's, sizes that are no multiples, and what is out of range."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.nn.functional import avg_pool2d, interpolate

from idmcli.errors import InputError
from idmcli.operators import SuperResolution
from idmcli.operators.spectra import decomposed
from idmcli.operators.super_resolution import averaging_matrix, bicubic_matrix
from tests.small import camera, random


@pytest.mark.parametrize("factor", [2, 3, 4, 8])
def test_bicubic_is_the_antialiased_one(factor: int) -> None:
    """The same inside; at the edges PyTorch leaves out what lies beyond, and here the image is mirrored."""
    x = random(2, 3, 12 * factor, 10 * factor)
    found = SuperResolution((3, 12 * factor, 10 * factor), factor).A(x)
    expected = interpolate(x, scale_factor=1 / factor, mode="bicubic", antialias=True)
    torch.testing.assert_close(found[..., 2:-2, 2:-2], expected[..., 2:-2, 2:-2])


def test_bicubic_is_mirrored_at_the_edges() -> None:
    x = random(1, 1, 24, 20)
    mirrored = torch.cat([x.flip(2), x, x.flip(2)], 2)
    mirrored = torch.cat([mirrored.flip(3), mirrored, mirrored.flip(3)], 3)
    inside = SuperResolution((1, 72, 60), 4).A(mirrored)[..., 6:12, 5:10]
    torch.testing.assert_close(SuperResolution((1, 24, 20), 4).A(x), inside)


@pytest.mark.parametrize("factor", [2, 4])
def test_averages(factor: int) -> None:
    x = random(2, 3, 11, 14)
    found = SuperResolution((3, 11, 14), factor, filter="average").A(x)
    torch.testing.assert_close(found, avg_pool2d(x, factor, ceil_mode=True))


@pytest.mark.parametrize("name", ["bicubic", "average"])
def test_constants_stay_and_sizes_are_rounded_up(name: str) -> None:
    for height, width, factor in ((1, 1, 4), (9, 16, 8), (17, 3, 2)):
        y = SuperResolution((1, height, width), factor, filter=name).A(torch.full((1, 1, height, width), 0.3))
        torch.testing.assert_close(y, torch.full((1, 1, -(-height // factor), -(-width // factor)), 0.3))


def test_the_pseudo_inverse_of_averages_repeats_them() -> None:
    x, operator = camera(16), SuperResolution((1, 16, 16), 4, filter="average")
    y = operator.A(x)
    torch.testing.assert_close(operator.pinv(y), y.repeat_interleave(4, 2).repeat_interleave(4, 3))


def test_an_image_too_long_is_refused_before_anything_is_made() -> None:
    for shape, factor in (((1, 1, 300_000), 64), ((1, 300_000, 1), 64), ((1, 16_385, 2), 2)):
        with pytest.raises(InputError, match="takes a matrix of"):
            SuperResolution(shape, factor)


def test_what_is_out_of_range() -> None:
    for factor in (1, 65, 2.0, True):
        with pytest.raises(InputError, match="the factor is"):
            SuperResolution((1, 8, 8), factor)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the filter is 'nearest'"):
        SuperResolution((1, 8, 8), 2, filter="nearest")


@pytest.mark.parametrize("matrix", [bicubic_matrix, averaging_matrix])
@pytest.mark.parametrize(("size", "factor"), [(40, 4), (41, 4), (30, 8), (7, 16), (9, 2)])
def test_decompositions_of_wide_matrices(matrix: Any, size: int, factor: int) -> None:
    wide = matrix(size, factor)
    u, s, v = decomposed(wide)
    torch.testing.assert_close(u * s @ v[: len(s)], wide)
    torch.testing.assert_close(v @ v.T, torch.eye(size, dtype=torch.float64))
    torch.testing.assert_close(u @ u.T, torch.eye(len(u), dtype=torch.float64))
    torch.testing.assert_close(s, torch.linalg.svdvals(wide))


def test_a_wide_matrix_without_full_rank_keeps_its_digits() -> None:
    wide = torch.tensor([[1.0, 2, 3], [1, 2, 3 + 1e-9]], dtype=torch.float64)
    torch.testing.assert_close(decomposed(wide)[1], torch.linalg.svdvals(wide), rtol=1e-6, atol=1e-15)
