"""Computed tomography against scikit-image and a dense matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import shepp_logan_phantom
from skimage.transform import iradon, radon, resize

from idmcli.errors import InputError
from idmcli.operators import ParallelBeamCT


def phantom(size: int) -> NDArray[np.float64]:
    return np.asarray(resize(shepp_logan_phantom(), (size, size), anti_aliasing=True), np.float64)


@pytest.mark.parametrize("size", [64, 63])
def test_projection_against_radon(size: int) -> None:
    image = phantom(size)
    angles = np.linspace(0, 180, 30, endpoint=False)
    y = ParallelBeamCT((1, size, size), 30).A(torch.from_numpy(image)[None, None])[0, 0].numpy()
    expected = radon(image, theta=angles, circle=False).T
    assert y.shape == expected.shape
    # Between the axes the two interpolate differently, most at 45 degrees.
    assert np.linalg.norm(y - expected) / np.linalg.norm(expected) < 1e-2
    np.testing.assert_allclose(y[[0, 15]], expected[[0, 15]], atol=1e-10)


def test_projection_against_a_dense_matrix() -> None:
    """Each weight from the geometry alone: the ray's crossing of every row (or column), interpolated."""
    height, width, detectors = 5, 8, 9
    angles = [0.0, 17.0, 45.0, 90.0, 133.0, 200.0]
    matrix = np.zeros((len(angles), detectors, height, width))
    for view, angle in enumerate(np.radians(angles)):
        cos, sin = np.cos(angle), np.sin(angle)
        for detector in range(detectors):
            s = detector - detectors // 2
            if abs(cos) >= abs(sin):
                for row in range(height):
                    crossing = (s + (row - height // 2) * sin) / cos + width // 2
                    for column in range(width):
                        matrix[view, detector, row, column] = max(0, 1 - abs(crossing - column)) / abs(cos)
            else:
                for column in range(width):
                    crossing = ((column - width // 2) * cos - s) / sin + height // 2
                    for row in range(height):
                        matrix[view, detector, row, column] = max(0, 1 - abs(crossing - row)) / abs(sin)
    operator = ParallelBeamCT((1, height, width), angles, detectors=detectors)
    x = torch.rand(3, 1, height, width, dtype=torch.float64)
    y = torch.rand(3, 1, len(angles), detectors, dtype=torch.float64)
    dense = torch.from_numpy(matrix)
    torch.testing.assert_close(operator.A(x)[:, 0], torch.einsum("vdhw,bhw->bvd", dense, x[:, 0]), atol=1e-12, rtol=0)
    torch.testing.assert_close(operator.AT(y)[:, 0], torch.einsum("vdhw,bvd->bhw", dense, y[:, 0]), atol=1e-12, rtol=0)


def test_adjoint_matches_at_full_size() -> None:
    operator = ParallelBeamCT((1, 127, 96), 37)
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(1, *operator.image_shape, dtype=torch.float64, generator=generator)
    y = torch.randn(1, *operator.measurement_shape, dtype=torch.float64, generator=generator)
    ax, aty = operator.A(x), operator.AT(y)
    assert abs(float((ax * y).sum() - (x * aty).sum())) / float(ax.norm() * y.norm()) < 1e-12


def test_default_detectors_see_every_pixel() -> None:
    operator = ParallelBeamCT((1, 13, 20), 16)
    assert operator.measurement_shape == (1, 16, math.ceil(math.sqrt(2) * 20))
    mass = operator.A(torch.ones(1, 1, 13, 20, dtype=torch.float64)).sum(-1)
    torch.testing.assert_close(mass, torch.full_like(mass, 13 * 20), rtol=0.02, atol=0)


@pytest.mark.parametrize("window", ["ramp", "hann"])
@pytest.mark.parametrize("size", [64, 63])
def test_fbp_against_iradon(window: str, size: int) -> None:
    image = phantom(size)
    operator = ParallelBeamCT((1, size, size), 90)
    y = operator.A(torch.from_numpy(image)[None, None])
    expected = iradon(
        y[0, 0].numpy().T,
        theta=np.linspace(0, 180, 90, endpoint=False),
        filter_name=window,
        circle=False,
        output_size=size,
    )
    ours = operator.fbp(y, window=window)[0, 0].numpy()
    inner = slice(4, -4)  # outside the detectors one interpolates to zero, the other cuts
    # scikit-image samples the Hann window one point off.
    np.testing.assert_allclose(ours[inner, inner], expected[inner, inner], atol=1e-10 if window == "ramp" else 2e-3)
    assert np.abs(ours - image).mean() < 0.05
    single = operator.fbp(y.float(), window=window)
    assert single.dtype == torch.float32


def test_sparse_views_reconstruct_with_status() -> None:
    image = torch.from_numpy(phantom(32))[None, None]
    operator = ParallelBeamCT((1, 32, 32), 24)
    solution = operator.solve(operator.A(image), tolerance=1e-4, max_iterations=300)
    assert solution.converged
    assert solution.iterations > 5
    short = operator.solve(operator.A(image), tolerance=1e-4, max_iterations=3)
    assert (short.iterations, short.converged) == (3, False)
    assert (solution.x - image).norm() < (short.x - image).norm()


@pytest.mark.parametrize(
    ("angles", "options", "message"),
    [
        (0, {}, "views"),
        (-3, {}, "views"),
        (10**30, {}, "views"),
        (True, {}, "views"),
        ([], {}, "views"),
        ([0.0, float("nan")], {}, "finite"),
        ([0.0, "x"], {}, "finite"),
        (4, {"detectors": 0}, "detectors"),
        (4, {"detectors": 2.0}, "detectors"),
    ],
)
def test_bad_geometry(angles: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ParallelBeamCT((1, 8, 8), angles, **options)


def test_unknown_window() -> None:
    operator = ParallelBeamCT((1, 8, 8), 4)
    with pytest.raises(InputError, match="filter window"):
        operator.fbp(torch.zeros(1, *operator.measurement_shape), window="hanning")
