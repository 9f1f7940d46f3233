"""Latent priors: sizes, colours, noise levels, and what the shipped one makes of a slice."""

from __future__ import annotations

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from skimage.data import shepp_logan_phantom
from skimage.filters import gaussian
from skimage.transform import resize

from idmcli.metrics import psnr
from idmcli.models import save_weights, shipped_weights
from idmcli.models.latent import LatentConfig, LatentDiffusion
from idmcli.models.variance_preserving import scaled_linear_schedule
from idmcli.priors import Domain, GreyLatent, NetworkLatentPrior, load_prior
from tests.small import random


def small(channels: int = 1) -> NetworkLatentPrior:
    """One of random weights, whose latents are not standardised."""
    torch.manual_seed(0)
    model = LatentDiffusion(LatentConfig(channels, 3, (8, 8, 16), (8, 16))).eval().requires_grad_(False)
    model.mean.copy_(torch.tensor([0.1, -0.2, 0.3]))
    model.std.copy_(torch.tensor([0.5, 1.0, 2.0]))
    return NetworkLatentPrior(model, "small", Domain(channels))


def test_latents_are_the_mean_of_the_posterior_standardised() -> None:
    prior, x = small(), torch.rand(2, 1, 16, 24)
    model = prior.network
    assert isinstance(model, LatentDiffusion) and model.factor == 4
    theirs = model.autoencoder.encode(2 * x - 1).latent_dist.mean
    z = prior.encode(x)
    assert z.shape == (2, 3, 4, 6)
    torch.testing.assert_close(z * model.std[:, None, None] + model.mean[:, None, None], theirs)
    torch.testing.assert_close(2 * prior.decode(z, (16, 24)) - 1, model.autoencoder.decode(theirs).sample)


def test_the_estimator_predicts_the_noise_at_the_time_of_the_level() -> None:
    prior, z = small(), random(2, 3, 4, 6).float()
    model, ab = prior.network, scaled_linear_schedule()
    assert isinstance(model, LatentDiffusion)
    t = torch.tensor([250, 700])
    sigma = ((1 - ab[t]) / ab[t]).sqrt().float().view(-1, 1, 1, 1)
    e = model.estimator.unet(ab[t].sqrt().float().view(-1, 1, 1, 1) * z, t).sample
    torch.testing.assert_close(prior(z, sigma), z - sigma * e, rtol=1e-3, atol=1e-3)


def test_levels_are_those_of_equal_times() -> None:
    ab = scaled_linear_schedule()
    known = ((1 - ab) / ab).sqrt().tolist()
    levels = small().levels(1000)
    assert levels == pytest.approx([*reversed(known), 0.0], rel=1e-4)
    assert small().levels(1) == pytest.approx([known[-1], 0.0], rel=1e-4)
    finer = small().levels(2500)
    assert all(after < before for before, after in pairwise(finer))


@pytest.mark.parametrize("size", [(16, 24), (13, 19), (3, 5)])
def test_images_of_any_size(size: tuple[int, int]) -> None:
    prior = small()
    z = prior.encode(torch.rand(2, 1, *size))
    assert z.shape == (2, 3, math.ceil(size[0] / 4), math.ceil(size[1] / 4))
    assert prior(z, torch.ones(2, 1, 1, 1)).shape == z.shape
    assert prior.decode(z, size).shape == (2, 1, *size)


def test_a_grey_one_takes_colours_one_by_one() -> None:
    prior, x = small(), torch.rand(2, 3, 8, 8)
    z = prior.encode(x)
    assert z.shape == (2, 9, 2, 2)
    sigma = torch.tensor([0.3, 2.0]).view(2, 1, 1, 1)
    denoised = prior(z, sigma)
    decoded = prior.decode(denoised, (8, 8))
    for channel in range(3):
        one = prior.encode(x[:, channel : channel + 1])
        torch.testing.assert_close(z[:, 3 * channel : 3 * channel + 3], one)
        torch.testing.assert_close(denoised[:, 3 * channel : 3 * channel + 3], prior(one, sigma))
        torch.testing.assert_close(decoded[:, channel : channel + 1], prior.decode(prior(one, sigma), (8, 8)))


def test_one_for_colours_takes_a_grey_image_as_equal_channels() -> None:
    colour, x = small(3), torch.rand(2, 1, 8, 8)
    grey = GreyLatent(colour)
    assert grey.domain.channels == 1 and grey.name == colour.name and grey.levels(5) == colour.levels(5)
    z = grey.encode(x)
    torch.testing.assert_close(z, colour.encode(x.expand(-1, 3, -1, -1)))
    sigma = torch.ones(2, 1, 1, 1)
    assert torch.equal(grey(z, sigma), colour(z, sigma))
    torch.testing.assert_close(grey.decode(z, (8, 8)), colour.decode(z, (8, 8)).mean(1, keepdim=True))


def test_a_file_gives_the_same_prior(tmp_path: Path) -> None:
    prior, path = small(), tmp_path / "latent.safetensors"
    assert isinstance(prior.network, LatentDiffusion)
    save_weights(path, prior.network, training={})
    loaded = load_prior(path)
    assert isinstance(loaded, NetworkLatentPrior) and loaded.domain == prior.domain and loaded.name == "latent"
    z = prior.encode(torch.rand(1, 1, 16, 16))
    assert torch.equal(loaded(z, torch.ones(1, 1, 1, 1)), prior(z, torch.ones(1, 1, 1, 1)))
    assert torch.equal(loaded.decode(z, (16, 16)), prior.decode(z, (16, 16))) and loaded.levels(7) == prior.levels(7)


def test_the_shipped_one_keeps_and_denoises_a_phantom() -> None:
    path = shipped_weights("latent-ct-tiny")
    assert path.stat().st_size < 10e6
    prior = load_prior(path)
    assert isinstance(prior, NetworkLatentPrior)
    phantom = gaussian(resize(shepp_logan_phantom(), (128, 128), anti_aliasing=True), 1.0)
    x = torch.from_numpy(0.6 * phantom).float()[None, None]
    z, size = prior.encode(x), (x.shape[2], x.shape[3])
    assert 0.5 < float(z.std()) < 2
    assert float(psnr(prior.decode(z, size).clamp(0, 1), x)) > 34
    sigma = torch.full((1, 1, 1, 1), 0.5)
    r = z + 0.5 * torch.randn(z.shape, generator=torch.Generator().manual_seed(0))
    noisy, denoised = (float(psnr(prior.decode(found, size).clamp(0, 1), x)) for found in (r, prior(r, sigma)))
    assert denoised > noisy + 3
