"""Noise of sensing."""

from __future__ import annotations

import math

import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import add_noise, count_photons


def test_level_and_seed() -> None:
    y = torch.zeros(4, 50_000)
    noisy = add_noise(y, 0.3, 1)
    assert noisy.dtype == y.dtype
    torch.testing.assert_close(noisy.std(1), torch.full((4,), 0.3), rtol=0.02, atol=0)
    assert torch.equal(noisy, add_noise(y, 0.3, 1))
    assert not torch.equal(noisy, add_noise(y, 0.3, 2))
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(add_noise(y, 0.0, 1), y)


def test_complex_noise_is_in_both_parts() -> None:
    noisy = add_noise(torch.ones(100_000, dtype=torch.complex64), 0.5, 0) - 1
    assert noisy.dtype == torch.complex64
    torch.testing.assert_close(noisy.real.std(), torch.tensor(0.5), rtol=0.02, atol=0)
    torch.testing.assert_close(noisy.imag.std(), torch.tensor(0.5), rtol=0.02, atol=0)
    assert abs(float((noisy.real * noisy.imag).mean())) < 0.01


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_bad_level(sigma: float) -> None:
    with pytest.raises(InputError, match="noise level"):
        add_noise(torch.zeros(3), sigma, 0)


def test_bad_seed() -> None:
    with pytest.raises(InputError, match="noise seed"):
        add_noise(torch.zeros(3), 0.1, -1)


def test_photons_have_the_variance_of_their_count() -> None:
    """Of N ~ Poisson(m), -log(N / N0) / mu has the standard deviation 1 / (mu sqrt(m)), for m that is not small."""
    y = torch.full((200_000,), 20.0)
    noisy, deviation = count_photons(y, 1e5, 0.08, 3)
    arriving = 1e5 * math.exp(-0.08 * 20)
    assert noisy.dtype == y.dtype
    assert float(noisy.mean()) == pytest.approx(20, abs=1e-3)
    assert float(noisy.std()) == pytest.approx(1 / (0.08 * math.sqrt(arriving)), rel=0.01)
    assert deviation == pytest.approx(float(noisy.std()), rel=0.01)
    again, other = count_photons(y, 1e5, 0.08, 3)[0], count_photons(y, 1e5, 0.08, 4)[0]
    assert torch.equal(noisy, again) and not torch.equal(noisy, other)


def test_the_deviation_is_the_root_mean_square_over_the_rays() -> None:
    y = torch.linspace(0, 60, 100_000)
    noisy, deviation = count_photons(y, 1e5, 0.08, 0)
    assert deviation == pytest.approx(float((noisy - y).square().mean().sqrt()), rel=0.03)


def test_rays_of_which_nothing_arrives() -> None:
    noisy, deviation = count_photons(torch.tensor([[0.0, 1e3, 1e30]], dtype=torch.float64), 1e4, 0.08, 0)
    assert bool(torch.isfinite(noisy).all()) and math.isfinite(deviation)
    assert noisy[0, 1] == noisy[0, 2] == -math.log(0.5 / 1e4) / 0.08


@pytest.mark.parametrize(("photons", "attenuation"), [(0.0, 1.0), (math.nan, 1.0), (1.0, -1.0), (1.0, math.inf)])
def test_bad_photons(photons: float, attenuation: float) -> None:
    with pytest.raises(InputError, match="number of photons|attenuation"):
        count_photons(torch.zeros(3), photons, attenuation, 0)
