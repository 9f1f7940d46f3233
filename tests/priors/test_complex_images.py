"""Priors for real images on complex ones."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from idmcli.numerics.noise import normal_like
from idmcli.priors import for_images
from idmcli.priors.complex_images import Demodulated, smooth_phase
from tests.small import Gaussian, camera, generator, shipped_prior

SIGMA = torch.full((1, 1, 1, 1), 0.1)
PHASE = torch.linspace(0.5, 2.5, 64)[:, None] * torch.linspace(1, -1, 64)


def complex_camera() -> Tensor:
    return torch.polar(camera(64), PHASE.expand(1, 1, 64, 64).contiguous())


def test_only_complex_images_need_it() -> None:
    prior, of_complex = Gaussian(0.1), Gaussian(0.1, domain=replace(Gaussian(0.1).domain, complex=True))
    assert for_images(prior, complex_image=False) is prior
    assert for_images(of_complex, complex_image=True) is of_complex
    found = for_images(prior, complex_image=True)
    assert isinstance(found, Demodulated) and found.name == "gaussian" and found.noise_levels == prior.noise_levels
    assert found.domain.complex and found.domain.mean == 0


def test_an_image_with_one_phase_is_denoised_without_it() -> None:
    x, turn, prior = camera(32), torch.polar(torch.ones(()), torch.tensor(2.0)), Gaussian(0.1)
    expected = (prior(x, SIGMA) + 1j * prior(0 * x, SIGMA)) * turn
    torch.testing.assert_close(Demodulated(prior)(x * turn, SIGMA), expected)


@pytest.mark.parametrize("angle", [0.3, math.pi, -2.0])
def test_no_phase_is_preferred(angle: float) -> None:
    r, prior = complex_camera() + 0.1 * normal_like(complex_camera(), generator()), Demodulated(Gaussian(0.1))
    turn = torch.polar(torch.ones(()), torch.tensor(angle))
    torch.testing.assert_close(prior(r * turn, SIGMA), prior(r, SIGMA) * turn, rtol=0, atol=1e-5)


def test_the_phase_is_found_under_noise_and_never_missing() -> None:
    r = complex_camera() + 0.1 * normal_like(complex_camera(), generator())
    error = (smooth_phase(r) * torch.polar(torch.ones(64, 64), -PHASE)).angle()
    assert error.square().mean().sqrt() < 0.15
    assert torch.equal(smooth_phase(torch.zeros(1, 1, 9, 8, dtype=torch.complex64)), torch.ones(1, 1, 9, 8) + 0j)


@torch.no_grad()
def test_it_is_better_than_denoising_real_and_imaginary_part() -> None:
    x, prior = complex_camera(), shipped_prior()
    r = x + 0.1 * normal_like(x, generator())
    parts = torch.complex(prior(r.real.contiguous(), SIGMA), prior(r.imag.contiguous(), SIGMA))
    ours = Demodulated(prior)(r, SIGMA)
    assert (ours - x).abs().square().mean() < 0.8 * (parts - x).abs().square().mean()


def test_it_is_differentiable_in_its_input() -> None:
    r = complex_camera()[..., :16, :16].requires_grad_()
    Demodulated(Gaussian(0.1))(r, SIGMA).abs().sum().backward()
    assert r.grad is not None and bool(r.grad.isfinite().all()) and bool(r.grad.abs().any())
