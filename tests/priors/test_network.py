"""A noise estimator as a prior."""

from __future__ import annotations

import torch

from idmcli.metrics import psnr
from idmcli.models import Denoiser
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.unet import UNetConfig
from idmcli.priors.network import DenoiserPrior
from tests.small import camera, random, shipped_prior


def test_it_centres_for_the_network_and_adds_the_mean_again() -> None:
    torch.manual_seed(0)
    network = Denoiser(DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1)), 0.3))
    prior = DenoiserPrior.of(network, "x", (0.0, 1.0))
    r, sigma = torch.rand(2, 3, 17, 20), torch.tensor([0.1, 0.5]).view(2, 1, 1, 1)
    with torch.no_grad():
        torch.testing.assert_close(prior(r, sigma), network(r - 0.3, sigma)[0] + 0.3)
    assert prior.domain.mean == 0.3


def test_it_is_differentiable_in_its_input() -> None:
    r = camera(16).requires_grad_()
    shipped_prior()(r, torch.full((1, 1, 1, 1), 0.2)).sum().backward()
    assert r.grad is not None and bool(r.grad.isfinite().all()) and bool(r.grad.any())


def test_the_shipped_prior_denoises_at_every_level_it_was_trained_for() -> None:
    x, prior = camera(64), shipped_prior()
    noise = random(1, 1, 64, 64, dtype=torch.float32)
    low, high = prior.noise_levels
    for level in (low, 0.05, 0.3, high):
        r = x + level * noise
        with torch.no_grad():
            denoised = prior(r, torch.full((1, 1, 1, 1), level))
        assert psnr(denoised, x) > psnr(r, x) + (0 if level == low else 3)


def test_a_network_that_loses_its_way_takes_no_more_than_noise_could_be() -> None:
    network = Denoiser(DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1)), 0.3))
    torch.nn.init.constant_(network.unet.conv_out.bias, 1e6)
    r = camera(16)
    with torch.no_grad():
        found = DenoiserPrior.of(network, "x", (0.0, 1.0))(r, torch.full((1, 1, 1, 1), 0.2))
    torch.testing.assert_close(found, r - 0.2 * 5)
