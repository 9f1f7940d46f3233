"""DAPS: the posterior of Gaussian images, the flow of its ODE, and any operator with the shipped prior."""

from __future__ import annotations

import pytest
import torch

from idmcli.operators import CompressedSensing, Inpainting, Operator, add_noise
from tests.small import OF_CAMERA, Curved, Oracle, gain, picture, run, smooth_images


def test_it_samples_the_posterior_of_gaussian_images() -> None:
    """One step of the flow ends at the mean of x given r, and small Langevin steps draw from p(x | r, y)."""
    prior, noise = smooth_images(1, 6, 6), 0.2
    operator = Inpainting((1, 6, 6), {"type": "random", "ratio": 0.5, "seed": 1})
    y = add_noise(operator.A(prior.draw(1)), noise, 0)
    options = {"steps": 100, "ode_steps": 1, "langevin_steps": 40, "rate": 0.15, "last_rate": 1.0}
    found = run("daps", operator, y.expand(1000, *y.shape[1:]), prior, noise=noise, **options).flatten(1)
    mean, covariance = prior.posterior(operator, y, noise)
    assert (found.mean(0) - mean.flatten()).abs().max() < 0.2 * covariance.diagonal().sqrt().max()
    assert (torch.cov(found.T) - covariance).norm() < 0.2 * covariance.norm()


def test_without_measurements_of_note_the_flow_keeps_clean_images() -> None:
    """An image that the prior leaves alone is a fixed point of the flow at any number of its steps."""
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    x = picture(operator)
    found = run("daps", operator, operator.A(x), Oracle(x), steps=4, ode_steps=3, langevin_steps=30)
    assert (found - x).abs().max() < 0.05


def test_seeds_matter() -> None:
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    y = operator.A(picture(operator))
    found, again, other = (run("daps", operator, y, Curved(), seed=seed, steps=3) for seed in (0, 0, 1))
    assert torch.equal(found, again) and not torch.equal(found, other)


@pytest.mark.parametrize("operator", OF_CAMERA, ids=lambda operator: str(operator.kind))
def test_it_takes_any_operator(operator: Operator) -> None:
    assert gain("daps", operator, steps=20, ode_steps=3, langevin_steps=30) > 1
