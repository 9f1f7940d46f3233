"""The divergence of denoisers, against what calculus says."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.numerics.divergence import MAX_DIVERGENCE, divergence, onsager, stein_divergence
from tests.small import Gaussian, random


def probed(denoise: object, r: Tensor, sigma: Tensor, seed: int = 0) -> Tensor:
    return divergence(denoise, r, sigma, denoise(r, sigma), seed=seed)  # type: ignore[operator,arg-type]


def test_of_a_linear_denoiser_it_is_exact_for_each_channel() -> None:
    r, sigma = random(2, 3, 8, 9), 0.2 + random(2, 3, 1, 1, seed=1).abs()
    expected = 0.09 / (0.09 + sigma**2)
    torch.testing.assert_close(probed(Gaussian(0.09), r, sigma), expected, rtol=1e-8, atol=0)


def test_of_any_denoiser_it_is_the_trace_of_the_jacobian() -> None:
    r, sigma = random(1, 1, 6, 7), torch.full((1, 1, 1, 1), 0.02, dtype=torch.float64)
    weights = random(42, 42, seed=3) / 42

    def denoise(r: Tensor, sigma: Tensor) -> Tensor:
        return torch.tanh(r + (r.flatten(1) @ weights).view(r.shape))

    jacobian = torch.autograd.functional.jacobian(lambda r: denoise(r, sigma), r).view(42, 42)
    probes = torch.stack([probed(denoise, r, sigma, seed) for seed in range(200)])
    assert float(probes.mean()) == pytest.approx(float(jacobian.trace()) / 42, abs=0.005)
    assert probes.std() > 0 and torch.equal(probed(denoise, r, sigma, 5), probes[5])


def test_the_best_denoiser_needs_no_probe() -> None:
    """Of white images with power 0.09 under noise of another level in each channel."""
    sigma = torch.tensor([0.15, 0.3, 0.6], dtype=torch.float64).view(1, 3, 1, 1)
    r = 0.45 + (0.09 + sigma**2).sqrt() * random(1, 3, 200, 200)
    found = stein_divergence(r, sigma, Gaussian(0.09)(r, sigma))
    torch.testing.assert_close(found, 0.09 / (0.09 + sigma**2), rtol=0, atol=0.02)


def test_without_noise_it_stays_finite() -> None:
    r = random(1, 1, 8, 8)
    assert float(stein_divergence(r, torch.zeros(1, 1, 1, 1), r + 0.1)) == -MAX_DIVERGENCE


def test_it_is_limited_so_that_the_correction_is() -> None:
    r, sigma = random(1, 1, 8, 8), torch.ones(1, 1, 1, 1, dtype=torch.float64)
    extreme = [probed(lambda r, sigma, gain=gain: gain * r, r, sigma) for gain in (5.0, -5.0)]
    assert [float(value) for value in extreme] == [MAX_DIVERGENCE, -MAX_DIVERGENCE]
    assert all(onsager(value).abs().max() <= 9.01 for value in extreme)


def test_the_correction_removes_the_memory_of_the_input() -> None:
    """The divergence of ``d - c (r - d)`` is zero."""
    r, sigma = random(1, 1, 8, 8), torch.full((1, 1, 1, 1), 0.3, dtype=torch.float64)
    c = onsager(probed(Gaussian(0.09), r, sigma))

    def corrected(r: Tensor, sigma: Tensor) -> Tensor:
        d = Gaussian(0.09)(r, sigma)
        return d - c * (r - d)

    assert probed(corrected, r, sigma).abs().max() < 1e-9
