"""Fan beams against a dense matrix, line integrals by formula, and parallel beams."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import FanBeamCT, ParallelBeamCT
from tests.operators.test_tomography import chords, ellipse
from tests.small import run

GEOMETRY: dict[str, Any] = {"source_axis": 41.0, "source_detector": 55.0, "pitch": 0.2}


def test_projection_against_a_dense_matrix() -> None:
    """Each weight from the positions of the source and a detector alone."""
    height, width, detectors, axis, pixel = 5, 8, 9, 3.4, 0.5
    angles = [-30.0, 0.0, 17.0, 45.0, 90.0, 133.0, 200.0, 311.0]
    matrix = np.zeros((len(angles), detectors, height, width))
    for view, t in enumerate(np.radians(angles)):
        u, v = np.array([np.cos(t), -np.sin(t)]), np.array([np.sin(t), np.cos(t)])
        for detector in range(detectors):
            source = -6 * v / pixel
            cell = ((detector - axis) * 0.7 * u + (8 - 6) * v) / pixel
            way = cell - source
            length = np.linalg.norm(way) / abs(way).max()
            for row in range(height):
                for column in range(width):
                    c, r = column - width // 2, row - height // 2
                    if abs(way[1]) >= abs(way[0]):
                        off = source[0] + (r - source[1]) * way[0] / way[1] - c
                    else:
                        off = source[1] + (c - source[0]) * way[1] / way[0] - r
                    matrix[view, detector, row, column] = max(0, 1 - abs(off)) * length
    operator = FanBeamCT(
        (1, height, width),
        angles,
        source_axis=6,
        source_detector=8,
        pitch=0.7,
        pixel=pixel,
        detectors=detectors,
        axis=axis,
    )
    x = torch.rand(3, 1, height, width, dtype=torch.float64)
    y = torch.rand(3, 1, len(angles), detectors, dtype=torch.float64)
    dense = torch.from_numpy(matrix)
    torch.testing.assert_close(operator.A(x)[:, 0], torch.einsum("vdhw,bhw->bvd", dense, x[:, 0]), atol=1e-12, rtol=0)
    torch.testing.assert_close(operator.AT(y)[:, 0], torch.einsum("vdhw,bvd->bhw", dense, y[:, 0]), atol=1e-12, rtol=0)


@pytest.mark.parametrize("origin", ["pixel", "middle"])
def test_line_integrals_of_an_ellipse(origin: Any) -> None:
    size, detectors, axis, pixel = 128, 180, 83.7, 0.16
    operator = FanBeamCT((1, size, size), 13, **GEOMETRY, pixel=pixel, detectors=detectors, axis=axis, origin=origin)
    middle = size // 2 if origin == "pixel" else (size - 1) / 2
    y = operator.A(ellipse(size, middle))[0, 0].numpy()
    for view, t in zip(y, np.radians(operator.degrees), strict=True):
        u, v = np.array([np.cos(t), -np.sin(t)]), np.array([np.sin(t), np.cos(t)])
        source = -41 / pixel * v
        way = (np.arange(detectors) - axis)[:, None] * 0.2 / pixel * u + 55 / pixel * v
        normal = np.stack([way[:, 1], -way[:, 0]]) / np.linalg.norm(way, axis=1)
        expected = chords(normal[0], normal[1], source @ normal)
        assert np.linalg.norm(view - expected) < 0.02 * np.linalg.norm(expected)


def test_a_far_source_is_a_parallel_beam() -> None:
    x = torch.rand(1, 1, 20, 17, dtype=torch.float64)
    angles = [3.0, 50.0, 111.0, 200.0, 333.0]
    far = FanBeamCT((1, 20, 17), angles, source_axis=1e9, source_detector=2e9, pitch=1.6, pixel=1, detectors=31)
    near = ParallelBeamCT((1, 20, 17), angles, detectors=31, pitch=0.8)
    torch.testing.assert_close(far.A(x), near.A(x), atol=1e-5, rtol=0)
    torch.testing.assert_close(far.smear(near.A(x)), near.smear(near.A(x)), atol=1e-4, rtol=0)


def test_only_the_unit_of_lengths_changes_with_all_of_them() -> None:
    x = torch.rand(1, 1, 12, 12, dtype=torch.float64)
    millimetres = FanBeamCT((1, 12, 12), 5, **GEOMETRY)
    metres = FanBeamCT((1, 12, 12), 5, **{name: length / 1000 for name, length in GEOMETRY.items()})
    torch.testing.assert_close(millimetres.A(x), metres.A(x))
    assert millimetres.pixel == pytest.approx(0.2 * 41 / 55)


def test_default_detectors_see_every_pixel() -> None:
    operator = FanBeamCT((1, 13, 20), 16, source_axis=30, source_detector=50, pitch=1, pixel=1)
    corners = torch.zeros(1, 1, 13, 20)
    corners[..., ::12, ::19] = 1
    assert bool((operator.A(corners).sum(-1) > 3).all())
    wide = operator.A(torch.ones(1, 1, 13, 20))
    assert float(wide[..., 0].abs().max()) == float(wide[..., -1].abs().max()) == 0


@pytest.mark.parametrize("angles", [np.arange(0, 360, 1.5), np.arange(77, 297, 1.5), np.arange(-50, 150, 1.5)])
def test_filtered_back_projection_of_whole_and_short_scans(angles: Any) -> None:
    """Rays along one line share its weight: the ellipse comes out with the value 1."""
    operator = FanBeamCT((1, 96, 96), angles, **GEOMETRY, pixel=0.19, detectors=150, axis=70.2, origin="middle")
    x = ellipse(128, 63.5)[..., 16:112, 16:112]
    found = run("fbp", operator, operator.A(x), window="hann")
    assert float((found - x).abs().mean()) < 0.01
    inside = ellipse(128, 63.5, shrunk=3)[..., 16:112, 16:112] == 1
    assert float(found[inside].mean()) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"source_axis": 0}, "source and axis"),
        ({"source_axis": 1.0, "pixel": 0.2}, "the source is 1 from the axis"),
        ({"source_detector": 30.0}, "the source is 41 from the axis"),
        ({"source_detector": float("inf")}, "source and detector"),
        ({"pitch": -1}, "two detectors"),
        ({"pixel": 0}, "side of a pixel"),
        ({"pixel": 10.0}, "reaches"),
        ({"axis": "auto"}, "axis of rotation"),
    ],
)
def test_bad_geometry(changed: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        FanBeamCT((1, 8, 8), 4, **(GEOMETRY | changed))
