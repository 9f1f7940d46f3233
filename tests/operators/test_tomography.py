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
from idmcli.operators import FanBeamCT, ParallelBeamCT, joseph, projector
from idmcli.operators.tomography import Tomography
from tests.small import dense


def phantom(size: int) -> NDArray[np.float64]:
    return np.asarray(resize(shepp_logan_phantom(), (size, size), anti_aliasing=True), np.float64)


def ellipse(size: int, middle: float, *, shrunk: float = 0) -> Tensor:
    """An ellipse with the half axes 30 and 18, turned and off the axis of rotation, its edge smoothed by sampling."""
    fine = (np.arange(8 * size) + 0.5) / 8 - 0.5 - middle
    inside = _ellipse_form(fine, fine[:, None], shrunk) <= 1
    return torch.from_numpy(inside.reshape(size, 8, size, 8).mean((1, 3)))[None, None]


def _ellipse_form(c: NDArray[np.float64], r: NDArray[np.float64], shrunk: float) -> NDArray[np.float64]:
    turn = np.radians(25)
    along, across = (c - 9) * np.cos(turn) + (r + 6) * np.sin(turn), (r + 6) * np.cos(turn) - (c - 9) * np.sin(turn)
    return (along / (30 - shrunk)) ** 2 + (across / (18 - shrunk)) ** 2


def chords(n_c: NDArray[np.float64], n_r: NDArray[np.float64], s: NDArray[np.float64]) -> NDArray[np.float64]:
    """The lengths that lines with unit normals have inside the ellipse: 2 a b sqrt(w^2 - d^2) / w^2, w its half width
    along the normal, d the distance from its centre."""
    turn = np.radians(25)
    along, across = n_c * np.cos(turn) + n_r * np.sin(turn), n_r * np.cos(turn) - n_c * np.sin(turn)
    w = (30 * along) ** 2 + (18 * across) ** 2
    d = s - n_c * 9 + n_r * 6
    return np.asarray(2 * 30 * 18 * np.sqrt(np.maximum(w - d**2, 0)) / w)


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


def test_the_axis_in_the_middle_of_the_grid() -> None:
    """Where ASTRA, ODL and TIGRE have it: every view of a symmetric image is symmetric, also on even grids."""
    image = torch.zeros(1, 1, 8, 6, dtype=torch.float64)
    image[..., 2:6, 1:5] = 1
    operator = ParallelBeamCT((1, 8, 6), 9, detectors=12, origin="middle")
    assert operator.axis == 5.5
    y = operator.A(image)
    torch.testing.assert_close(y, y.flip(-1))
    centred = ParallelBeamCT((1, 8, 6), 9, detectors=12)
    assert centred.axis == 6 and float((centred.A(image) - centred.A(image).flip(-1)).abs().max()) > 0.5


@pytest.mark.parametrize("origin", ["pixel", "middle"])
def test_line_integrals_of_an_ellipse(origin: Any) -> None:
    """With an axis and a pitch of its own, against chords by formula."""
    size, axis, pitch = 128, 70.3, 0.9
    operator = ParallelBeamCT((1, size, size), 11, detectors=150, axis=axis, origin=origin, pitch=pitch)
    middle = size // 2 if origin == "pixel" else (size - 1) / 2
    y = operator.A(ellipse(size, middle))[0, 0].numpy()
    s = (np.arange(150) - axis) * pitch
    for view, angle in zip(y, np.radians(operator.degrees), strict=True):
        expected = chords(np.full(150, np.cos(angle)), np.full(150, -np.sin(angle)), s)
        assert np.linalg.norm(view - expected) < 0.015 * np.linalg.norm(expected)


def test_views_that_turn_into_each_other_share_their_weights() -> None:
    """Eight views of a square from one: the matrices hold an eighth of the entries."""
    x = torch.rand(1, 1, 16, 16, dtype=torch.float64)
    angles = [20.0, 70.0, 110.0, 160.0, 200.0, 250.0, 290.0, 340.0]
    operator = ParallelBeamCT((1, 16, 16), angles)
    alone = torch.cat([ParallelBeamCT((1, 16, 16), [angle]).A(x) for angle in angles], 2)
    torch.testing.assert_close(operator.A(x), alone, rtol=0, atol=1e-12)
    one = ParallelBeamCT((1, 16, 16), [20.0])
    one.A(x)
    kept, of_one = (sum(matrix.nbytes for matrix in each._projector._kept.values()) for each in (operator, one))
    assert kept == of_one


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
    x, y = torch.rand(2, 1, 20, 17), torch.rand(2, 1, 4, 29)
    made: list[str] = []
    original = projector.line_integrals
    monkeypatch.setattr(projector, "line_integrals", lambda *inputs: made.append("A") or original(*inputs))
    angles = [10, 20, 30, 40]
    operator = ParallelBeamCT((1, 20, 17), angles)
    kept = operator.A(x), operator.A(x), operator.AT(y), operator.smear(y)
    assert len(made) == 1
    monkeypatch.setattr(projector, "KEPT_BYTES", 0)
    other = ParallelBeamCT((1, 20, 17), angles)
    again = other.A(x), other.A(x), other.AT(y), other.smear(y)
    assert len(made) == 4
    assert all(torch.equal(one, two) for one, two in zip(kept, again, strict=True))


def test_many_views_in_several_matrices(monkeypatch: pytest.MonkeyPatch) -> None:
    x, y = torch.rand(2, 1, 20, 17, dtype=torch.float64), torch.rand(2, 1, 7, 29, dtype=torch.float64)
    whole = ParallelBeamCT((1, 20, 17), 7)
    expected = whole.A(x), whole.AT(y), whole.smear(y)
    monkeypatch.setattr(projector, "ENTRIES_AT_ONCE", 2 * 29 * 21)
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
        (4, {"axis": float("nan")}, "axis of rotation"),
        (4, {"axis": "auto"}, "axis of rotation"),
        (4, {"origin": "centre"}, "origin"),
        (4, {"pitch": 0}, "distance of two detectors"),
        (4, {"pitch": float("inf")}, "distance of two detectors"),
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


def rays_of(views: int, detectors: int) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    angles = np.repeat(np.linspace(0, np.pi, views), detectors)
    return np.cos(angles), -np.sin(angles), np.tile(np.arange(detectors) - detectors // 2 + 0.25, views)


@pytest.mark.parametrize("shape", [(40, 5), (5, 40), (12, 12), (9, 1)])
def test_rays_are_followed_only_where_they_meet_the_image(
    monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int]
) -> None:
    """The same matrix as by following every ray through every row, or column."""
    rays, x = rays_of(23, 61), torch.rand(2, shape[0] * shape[1], dtype=torch.float64)
    y = joseph.line_integrals(*rays, shape).times(x)
    monkeypatch.setattr(joseph, "_followed", lambda along, across, s, size_i, size_j: (0.0 * size_j, 1.0 * size_j))
    assert torch.equal(joseph.line_integrals(*rays, shape).times(x), y)


def test_a_long_picture_has_few_crossings() -> None:
    """5000 x 20 pixels: 7072 detectors times 5000 rows would be 35 million for each view."""
    for n_c, n_r, s in zip(*(part.reshape(31, -1) for part in rays_of(31, 7072)), strict=True):
        swap = abs(n_c[0]) < abs(n_r[0])
        along, across = (n_r, n_c) if swap else (n_c, n_r)
        size_i, size_j = (np.full(len(s), side) for side in ((5000, 20) if swap else (20, 5000)))
        first, last = joseph._followed(along, across, s, size_i, size_j)
        assert (last - first).sum() < 5 * 5000 * 20


def test_few_rays_do_not_stand_for_a_huge_image() -> None:
    with pytest.raises(InputError, match="1 x 47 rays are too few for 8000 x 8000 pixels"):
        ParallelBeamCT((1, 8000, 8000), 1, detectors=47)


@pytest.mark.parametrize(
    "operator",
    [
        ParallelBeamCT((2, 12, 10), 40, pitch=0.9, axis=7.5),
        ParallelBeamCT((2, 12, 10), [(111.25 * k) % 180 for k in range(40)], origin="middle"),
        FanBeamCT((2, 12, 10), 40, source_axis=40, source_detector=60, pitch=1.5),
    ],
    ids=["parallel", "golden", "fan"],
)
def test_views_that_are_held_out_lie_all_around(operator: Tomography) -> None:
    parted = operator.hold_out(0.15)
    assert parted is not None
    others, kept, held, typical = parted
    assert typical
    y = operator.A(torch.rand(1, 2, 12, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(0)))
    x = operator.pinv(y)
    torch.testing.assert_close(others.A(x), operator.A(x)[kept])
    assert y[held].shape[2] == 6 and y[kept].shape[2] == 34
    angles = torch.tensor(operator.degrees)[held[1]].remainder(operator.period).sort().values
    assert float(angles.diff().max()) < 2 * operator.period / 6
    again = operator.hold_out(0.15)
    assert again is not None and torch.equal(y[again.held], y[held]), "the same every time"


def test_views_over_a_limited_angle_are_not_typical() -> None:
    parted = ParallelBeamCT((1, 8, 8), [2.0 * k for k in range(60)]).hold_out(0.15)
    assert parted is not None and not parted.typical


def test_few_views_are_all_needed() -> None:
    assert ParallelBeamCT((1, 8, 8), 9).hold_out(0.15) is None
