"""The noise of a sinogram, from itself."""

from __future__ import annotations

import numpy as np
import pytest

from idmcli.importing.ct.noise import noise_of


@pytest.mark.parametrize("sigma", [0.01, 0.3])
def test_noise_on_an_object_with_edges(sigma: float) -> None:
    views = np.where(abs(np.arange(300) - 140) < 60, 2.0, 0.0) + np.sqrt(np.hanning(300))
    noisy = views + sigma * np.random.default_rng(0).standard_normal((90, 300))
    assert noise_of(noisy.astype(np.float32)) == pytest.approx(sigma, rel=0.1)


def test_few_cells_tell_nothing() -> None:
    assert noise_of(np.ones((3, 10), np.float32)) == 0
