"""Computed tomography against scikit-image and a dense matrix."""

from __future__ import annotations

import gc
import json
import math
import weakref
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from skimage.data import shepp_logan_phantom
from skimage.transform import radon, resize
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators import ParallelBeamCT, joseph
from idmcli.operators.joseph import Projector
from tests.small import dense


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


def test_the_weights_of_a_projection_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or again in every use, where they would take too much memory: the result is the same to the last bit."""
    x, y = torch.rand(2, 1, 20, 17), torch.rand(2, 1, 7, 29)
    made: list[str] = []
    rays = Projector._rays
    monkeypatch.setattr(Projector, "_rays", lambda *inputs: made.append("A") or rays(*inputs))
    operator = ParallelBeamCT((1, 20, 17), 7)
    kept = operator.A(x), operator.A(x), operator.AT(y), operator.smear(y)
    assert len(made) == 1
    monkeypatch.setattr("idmcli.operators.joseph.KEPT_BYTES", 0)
    other = ParallelBeamCT((1, 20, 17), 7)
    again = other.A(x), other.A(x), other.AT(y), other.smear(y)
    assert len(made) == 3
    assert all(torch.equal(one, two) for one, two in zip(kept, again, strict=True))


def test_many_views_in_several_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.rand(2, 1, 20, 17, dtype=torch.float64), torch.rand(2, 1, 7, 29, dtype=torch.float64)
    whole = ParallelBeamCT((1, 20, 17), 7)
    expected = whole.A(x), whole.AT(y), whole.smear(y)
    monkeypatch.setattr("idmcli.operators.joseph.PIXELS_AT_ONCE", 3 * 20 * 17)
    parts = ParallelBeamCT((1, 20, 17), 7)
    for found, one in zip((parts.A(x), parts.AT(y), parts.smear(y)), expected, strict=True):
        torch.testing.assert_close(found, one, rtol=0, atol=1e-12)


def test_the_result_does_not_depend_on_threads_or_the_place_in_memory() -> None:
    operator = ParallelBeamCT((1, 64, 61), 30)
    x = torch.rand(1, 1, 64, 61)
    y, threads = operator.A(x), torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        for offset in range(1, 8):
            moved = torch.empty(x.numel() + offset)[offset:].view_as(x).copy_(x)
            assert torch.equal(operator.A(moved), y)
    finally:
        torch.set_num_threads(threads)


def test_the_filter_of_the_gram_is_near_it() -> None:
    """The larger half of the eigenvalues of G^-1/2 A A^T G^-1/2 lies close together, which that of A A^T does not."""
    operator = ParallelBeamCT((1, 16, 16), 12)
    a, gram = dense(operator), operator.gram(torch.zeros(1, *operator.measurement_shape, dtype=torch.float64))

    def spread(weights: Tensor) -> float:
        scaled = [gram.scaled(weights, column.view(1, *operator.measurement_shape)).flatten() for column in a.T]
        values = torch.linalg.svdvals(torch.stack(scaled, 1)) ** 2
        return float(values[0] / values[: len(values) // 2].median())

    assert spread(gram.values**-0.5) < spread(torch.ones_like(gram.values)) / 2
    trace = float(a.square().sum()) / a.shape[0]
    assert trace < gram.power_gain < 10 * trace  # rays past the image's corners count as little in the one only


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
    "angles",
    [
        np.arange(0, 180, 6),
        np.arange(0, 180, 6, dtype=np.float32),
        np.arange(0, 180, 6, dtype=np.float16),
        torch.arange(0.0, 180, 6),
        torch.arange(0, 180, 6, dtype=torch.int32),
        [np.float64(angle) for angle in range(0, 180, 6)],
        [np.int64(angle) for angle in range(0, 180, 6)],
        tuple(range(0, 180, 6)),
        range(0, 180, 6),
    ],
)
def test_angles_of_every_type_give_the_same_specification(angles: Any) -> None:
    operator, plain = (ParallelBeamCT((1, 8, 8), given) for given in (angles, [6.0 * k for k in range(30)]))
    assert json.dumps(operator.to_spec()) == json.dumps(plain.to_spec())
    assert all(type(angle) is float for angle in operator.to_spec()["angles"])
    x = torch.rand(1, 1, 8, 8)
    assert torch.equal(operator.A(x), plain.A(x))


@pytest.mark.parametrize("count", [30, np.int64(30), np.uint8(30), np.array(30), torch.tensor(30)])
def test_numbers_of_views_of_every_type(count: Any) -> None:
    spec = ParallelBeamCT((1, 32, 32), count, detectors=np.int32(40)).to_spec()  # type: ignore[arg-type]
    assert json.dumps(spec) == json.dumps({"kind": "ct", "image_shape": [1, 32, 32], "angles": 30, "detectors": 40})


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
        ([0.0, True], {}, "finite"),
        ([0.0, 10**400], {}, "finite"),
        (np.zeros((2, 2)), {}, "finite"),
        (np.array([0.0, np.inf]), {}, "finite"),
        (np.array([], np.float32), {}, "views"),
        (np.float64(30), {}, "views"),
        (30.0, {}, "views"),
        (np.bool_(True), {}, "views"),
        (None, {}, "views"),
        (range(100_001), {}, "views"),
        (4, {"detectors": 0}, "detectors"),
        (4, {"detectors": 2.0}, "detectors"),
    ],
)
def test_bad_geometry(angles: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        ParallelBeamCT((1, 8, 8), angles, **options)


def test_an_operator_is_let_go_of_after_a_gradient_through_its_inverse() -> None:
    """The graph used to hold on to itself: every training step kept its projector and its activations."""
    operator = ParallelBeamCT((1, 12, 12), 5)
    kept, x = weakref.ref(operator), torch.rand(1, 1, 12, 12, requires_grad=True)
    y = operator.A(torch.rand(1, 1, 12, 12))
    operator.project(operator.project(x, y).square(), y).square().sum().backward()
    del operator
    gc.collect()
    assert kept() is None


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (12, 12), (9, 1)])
def test_rays_are_followed_only_where_they_meet_the_image(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    """The same matrix as by following every ray through every row, or column."""
    directions = [(math.cos(t), math.sin(t)) for t in np.linspace(0, math.pi, 23)]
    projector = Projector(directions, shape, 61)
    x = torch.rand(2, *shape, dtype=torch.float64)
    y = projector.project(x)
    monkeypatch.setattr(joseph, "_hit", lambda a, b, d, *sizes: np.ones(len(d), bool))
    monkeypatch.setattr(joseph, "_crossed", lambda a, b, d, followed, interpolated: np.arange(followed)[None])
    assert torch.equal(Projector(directions, shape, 61).project(x), y)


def test_a_long_picture_has_few_crossings() -> None:
    """5000 x 20 pixels: 7072 detectors times 5000 rows would be 35 million for each view."""
    detectors = joseph._centred(7072)
    for angle in np.linspace(0, math.pi, 31):
        a, b, followed, interpolated = math.cos(angle), -math.sin(angle), 5000, 20
        if abs(a) < abs(b):
            a, b, followed, interpolated = b, a, interpolated, followed
        d = detectors[joseph._hit(a, b, detectors, followed, interpolated), None]
        crossings = len(d) * joseph._crossed(a, b, d, followed, interpolated).shape[1]
        assert crossings < 5 * 5000 * 20
