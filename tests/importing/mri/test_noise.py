"""The noise level of k-space."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.importing.mri.noise import noise_of_fit, noise_of_floor, noise_of_margin
from idmcli.operators import MRI
from idmcli.tasks.mri import coil_maps
from tests.scanners import as_tensor, coil_images, kspace_of, noise


@pytest.mark.parametrize("level", [0.003, 0.1])
def test_the_fit_of_several_coils(level: float) -> None:
    mask = torch.rand(48, 40, generator=torch.Generator().manual_seed(0)) < 0.4
    operator = MRI((1, 48, 40), mask, complex_image=True, sensitivity=coil_maps(6, (48, 40)))
    image = as_tensor(coil_images(1)[None])
    y = operator.A(image)[0]
    assert noise_of_fit(operator, y + as_tensor(noise(y.shape, level))) == pytest.approx(level, rel=0.1)


def test_too_few_numbers_say_nothing_of_their_noise() -> None:
    mask = torch.rand(48, 40, generator=torch.Generator().manual_seed(0)) < 0.4
    operator = MRI((1, 48, 40), mask, complex_image=True, sensitivity=coil_maps(2, (48, 40)))
    assert noise_of_fit(operator, as_tensor(noise(operator.measurement_shape))) is None


def test_the_margin_of_an_oversampled_readout() -> None:
    images = coil_images(2, (48, 80))
    images[..., :20] = images[..., 60:] = 0
    measured = as_tensor(kspace_of(images) + noise(images.shape, 0.02))
    assert noise_of_margin(measured, 2, 40) == pytest.approx(0.02, rel=0.1)


def test_a_floor_is_told_from_signal() -> None:
    sampled = torch.ones(96, 96, dtype=torch.bool)
    smooth = np.zeros((1, 96, 96), np.complex64)
    smooth[0, 40:56, 40:56] = 50 * noise((16, 16))
    assert noise_of_floor(as_tensor(smooth + noise(smooth.shape, 0.1, 1)), sampled) == pytest.approx(0.1, rel=0.05)
    rows, columns = np.indices((96, 96)) - 48
    falling = smooth[:, :1, :1] + 100 / (1 + np.hypot(rows, columns)[None] ** 3)
    assert noise_of_floor(as_tensor(falling.astype(np.complex64)), sampled) is None
    assert noise_of_floor(as_tensor(0 * smooth), sampled) is None
