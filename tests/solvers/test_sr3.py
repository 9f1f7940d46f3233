"""SR3: the posterior of Gaussian images by the best conditional denoiser, what it is shown, and what it refuses."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

import pytest
import torch
from torch import Tensor

from idmcli import solvers
from idmcli.metrics import psnr
from idmcli.models import ConditionalDenoiser, DenoiserConfig, UNetConfig, load_weights, shipped_weights
from idmcli.numerics.noise import SIGMA_END, SIGMA_START
from idmcli.operators import Blur, LinearOperator, Operator, Problem, SuperResolution, add_noise
from tests.small import OPERATORS, Correlated, camera, each, picture, run, smooth_images


@dataclass(frozen=True)
class Best:
    """The best denoiser of images whose distribution given y is Gaussian, noting what it was shown and told."""

    posterior: Correlated
    mean: float = 0.45
    seen: list[tuple[Tensor, float, int]] = field(default_factory=list)

    def __call__(self, r: Tensor, sigma: Tensor, condition: Tensor, number: int) -> tuple[Tensor, Tensor]:
        self.seen.append((condition, float(sigma.mean()), number))
        x0 = self.posterior(r + self.mean, sigma) - self.mean
        return x0, (r - x0) / sigma


@pytest.mark.parametrize(
    "operator", [OPERATORS["inpainting-given"], Blur((1, 6, 5), {"type": "gaussian", "size": 3, "std": 0.8})]
)
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_it_samples_the_posterior_of_gaussian_images(operator: LinearOperator, eta: float) -> None:
    images, noise = smooth_images(*operator.image_shape), 0.05
    grey = torch.full_like(images.mean, 0.45)
    images = replace(images, mean=grey, covariance=0.1 * images.covariance)  # far from black and white: x0 is clipped
    y = add_noise(operator.A(images.draw(1)), noise, 0)
    mean, covariance = images.posterior(operator, y, noise)
    network: Any = Best(Correlated(mean[0], covariance))
    many = y.expand(1000, *y.shape[1:])
    found = run("sr3", operator, many, network, noise=noise, steps=80, eta=eta).flatten(1)
    assert (found.mean(0) - mean.flatten()).abs().max() < 0.25 * covariance.diagonal().sqrt().max()
    assert (torch.cov(found.T) - covariance).norm() < 0.2 * covariance.norm()


@each("cs-global-padded", "cs-blocks-colour", "mri-radial", "ct", "hdr", "nonlinear_deblur")
def test_it_shows_the_measurements_at_falling_levels(operator: Operator) -> None:
    y = operator.A(picture(operator))
    images = smooth_images(*operator.image_shape)
    network: Any = Best(images)
    found = run("sr3", operator, y, network, steps=9)
    assert found.shape[1:] == operator.image_shape and -1e-9 < float(found.min()) <= float(found.max()) < 1 + 1e-9
    for condition, _, _ in network.seen:
        torch.testing.assert_close(condition + 0.45, Problem(operator, y).first_guess(0.45), rtol=0, atol=1e-9)
    levels = [SIGMA_START * (SIGMA_END / SIGMA_START) ** (step / 8) for step in range(9)]
    assert [level for _, level, _ in network.seen] == pytest.approx(levels, rel=1e-4)
    assert [number for _, _, number in network.seen] == [1, 2, 3, 4, 5, 6, 7, 0, 1]


def test_seeds_matter() -> None:
    operator = OPERATORS["cs-global"]
    network = ConditionalDenoiser(DenoiserConfig(UNetConfig(channels=(4, 16), blocks=(1, 1))))
    y = operator.A(picture(operator)).float()
    found, again, other = (run("sr3", operator, y, network, seed=seed, steps=3) for seed in (0, 0, 1))
    assert torch.equal(found, again) and not torch.equal(found, other) and not found.requires_grad


def test_it_is_for_real_images() -> None:
    sr3 = solvers.find("sr3")
    assert "sr3 needs an operator on real images" in solvers.why_not(sr3, OPERATORS["mri-coils-complex"])
    assert not solvers.why_not(sr3, OPERATORS["mri-coils"])


def test_the_shipped_network_enlarges() -> None:
    """The mean of a few samples is nearer to the truth than one of them, and than what the network is shown."""
    x, operator, noise = camera(64), SuperResolution((1, 64, 64), 4), 0.025
    y = add_noise(operator.A(x), noise, 0)
    network = load_weights(shipped_weights("sr3-sr"))
    samples = run("sr3", operator, y.expand(4, *y.shape[1:]), network, noise=noise, steps=20)
    shown = Problem(operator, y, noise).first_guess(0.45)
    one, mean = psnr(samples, x.expand_as(samples)).mean(), psnr(samples.mean(0, keepdim=True), x)
    assert mean > one + 0.5 and mean > psnr(shown, x)
