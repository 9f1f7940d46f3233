"""The axis of rotation from opposite views."""

from __future__ import annotations

import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.importing.ct.axis import find_axis
from idmcli.operators import FanBeamCT, ParallelBeamCT
from tests.operators.test_tomography import ellipse


def parallel(angles: np.ndarray, axis: float, detectors: int = 150) -> np.ndarray:
    operator = ParallelBeamCT((1, 128, 128), angles, detectors=detectors, axis=axis, origin="middle")
    return np.asarray(operator.A(ellipse(128, 63.5))[0, 0].numpy())


@pytest.mark.parametrize("angles", [np.arange(0, 180, 2.0), np.arange(33, 213, 1.0), np.arange(0, 360, 6.0)])
@pytest.mark.parametrize("axis", [66.3, 74.5, 83.75])
def test_parallel_beams_over_half_and_whole_turns(angles: np.ndarray, axis: float) -> None:
    assert find_axis(parallel(angles, axis), angles) == pytest.approx(axis, abs=0.1)


def test_many_cells_are_first_looked_at_in_pairs() -> None:
    angles = np.arange(0, 180, 3.0)
    assert find_axis(parallel(angles, 240.3, 520), angles) == pytest.approx(240.3, abs=0.1)


def test_noise_moves_it_little() -> None:
    angles = np.arange(0, 360, 4.0)
    views = parallel(angles, 70.4)
    noisy = views + 0.05 * views.max() * np.random.default_rng(0).standard_normal(views.shape)
    assert find_axis(noisy, angles) == pytest.approx(70.4, abs=0.15)


@pytest.mark.parametrize("angles", [np.arange(0, 360, 2.0), np.arange(20, 240, 2.0)])
def test_fan_beams(angles: np.ndarray) -> None:
    operator = FanBeamCT(
        (1, 96, 96),
        angles,
        source_axis=41,
        source_detector=55,
        pitch=0.2,
        pixel=0.19,
        detectors=150,
        axis=70.2,
        origin="middle",
    )
    views = operator.A(ellipse(128, 63.5)[..., 16:112, 16:112])[0, 0].numpy()
    assert find_axis(views, angles, 55 / 0.2) == pytest.approx(70.2, abs=0.1)


@pytest.mark.parametrize("angles", [np.arange(0, 90, 1.0), np.array([10.0])])
def test_without_opposite_views(angles: np.ndarray) -> None:
    with pytest.raises(InputError, match="measured from both sides") as caught:
        find_axis(parallel(angles, 70), angles)
    assert "--axis" in caught.value.hint


def test_nothing_but_zeros() -> None:
    with pytest.raises(InputError, match="cannot be found"):
        find_axis(np.zeros((60, 80)), np.arange(0, 360, 6.0))
