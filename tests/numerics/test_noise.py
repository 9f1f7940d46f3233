"""White noise from a generator."""

from __future__ import annotations

import pytest
import torch

from idmcli.numerics.noise import SIGMA_END, SIGMA_START, ddim_noise, falling_levels, normal_like
from tests.small import generator


def test_white_noise_follows_the_generator_alone() -> None:
    x = torch.zeros(4, 1, 100, 100)
    first = normal_like(x, generator(3))
    assert first.shape == x.shape and abs(float(first.std()) - 1) < 0.01 and abs(float(first.mean())) < 0.02
    assert torch.equal(first, normal_like(x + 7, generator(3))) and not torch.equal(first, normal_like(x, generator(4)))
    torch.testing.assert_close(normal_like(x.double(), generator(3)), first.double())


def test_every_real_number_of_complex_noise_has_unit_variance() -> None:
    x = torch.zeros(4, 1, 100, 100, dtype=torch.complex128)
    noise = normal_like(x, generator(3))
    assert noise.dtype == x.dtype and noise.shape == x.shape
    assert abs(float(noise.real.std()) - 1) < 0.02 and abs(float(noise.imag.std()) - 1) < 0.02
    assert abs(float((noise.real * noise.imag).mean())) < 0.02


def test_one_generator_goes_on() -> None:
    source, x = generator(0), torch.zeros(1, 1, 50, 50)
    first, second = normal_like(x, source), normal_like(x, source)
    assert abs(float((first * second).mean())) < 0.1


def test_levels_fall_by_one_factor_and_end_at_zero() -> None:
    levels = falling_levels(5, 1.0, 0.01)
    assert levels == pytest.approx([1, 10**-0.5, 0.1, 10**-1.5, 0.01, 0])
    assert falling_levels(3)[:1] + falling_levels(3)[2:] == pytest.approx([SIGMA_START, SIGMA_END, 0])


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
def test_fresh_and_kept_noise_make_the_following_level(eta: float) -> None:
    fresh, kept = ddim_noise(0.8, 0.6, eta)
    assert fresh**2 + kept**2 == pytest.approx(0.36)
    assert fresh == pytest.approx(eta * 0.6 * (1 - 0.5625) ** 0.5)  # eta = 1: variance of the posterior of DDPM
    assert ddim_noise(0.8, 0.0, eta) == (0, 0)
