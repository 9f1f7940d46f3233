"""PiGDM: its gradient against dense linear algebra, the posterior of Gaussian images, and known noise."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev

from idmcli.metrics import psnr
from idmcli.numerics.noise import SIGMA_START, normal_like
from idmcli.operators import CompressedSensing, LinearOperator, Problem, add_noise
from tests.small import (
    OPERATORS,
    REAL,
    Curved,
    Gaussian,
    Oracle,
    camera,
    dense,
    each,
    flat,
    generator,
    picture,
    random,
    run,
    shipped_prior,
)

MEAN = 0.45  # of the small priors


@each("cs-global", "cs-blocks-colour", "cs-given", "inpainting-boxes", "mri-radial", "sr", "deblur-circular")
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_a_step_follows_the_gradient_of_the_likelihood(operator: LinearOperator, noise: float) -> None:
    """Eq. 7 with dense matrices: the only step, to noise level 0, ends at x0 + r_t^2 g."""
    operator, prior = operator.padded(), Curved()
    y = operator.A(picture(operator))
    found = run("pigdm", operator, y, prior, noise=noise, steps=1, power=0.25)

    start = Problem(operator, y, noise).centred(MEAN).start + MEAN
    r = start + SIGMA_START * normal_like(start, generator())
    sigma = torch.full((1, 1, 1, 1), SIGMA_START, dtype=r.dtype)
    x0 = prior(r, sigma)
    jacobian = jacrev(lambda r: flat(prior(r, sigma))[0])(r).view(r.numel(), r.numel())
    a, variance = dense(operator), 0.25 * SIGMA_START**2 / (0.25 + SIGMA_START**2)
    inverse = torch.linalg.pinv(variance * a @ a.T + noise**2 * torch.eye(len(a), dtype=a.dtype), rtol=1e-6)
    guidance = variance * jacobian.T @ a.T @ inverse @ flat(y - operator.A(x0))[0]
    torch.testing.assert_close(found, x0 + guidance.view(x0.shape), rtol=0, atol=2e-4)


@pytest.mark.parametrize("eta", [0.0, 1.0])
@pytest.mark.parametrize("noise", [0.0, 0.2])
def test_by_the_score_it_samples_the_posterior_of_white_images(eta: float, noise: float) -> None:
    """Mean and variance in what was measured, and in what was not."""
    power, operator = 0.09, CompressedSensing((1, 32, 32), 0.4, block=16)
    x = MEAN + power**0.5 * random(8, 1, 32, 32)
    y = add_noise(operator.A(x), noise, 0)
    options = {"steps": 500, "eta": eta, "power": power, "adaptive": False}
    found = run("pigdm", operator, y, Gaussian(power), noise=noise, **options)
    gain = power / (power + noise**2)
    error = found - MEAN - gain * operator.AT(y - operator.A(torch.full_like(x, MEAN)))
    measured = operator.normal(error)
    assert float(measured.square().mean()) / 0.4 == pytest.approx(power * (1 - gain), rel=0.06, abs=1e-6)
    assert float((error - measured).square().mean()) / 0.6 == pytest.approx(power, rel=0.06)


@each(*REAL)
def test_measurements_are_met_and_seeds_matter(operator: LinearOperator) -> None:
    y = operator.A(picture(operator))
    found, again, other = (run("pigdm", operator, y, Gaussian(0.05), seed=seed, steps=5) for seed in (0, 0, 1))
    if operator.padded() is operator:
        assert (operator.A(found) - y).abs().max() < 0.03 * y.abs().max()
    assert torch.equal(found, again) and not torch.equal(found, other)


def test_an_oracle_is_believed() -> None:
    operator = OPERATORS["cs-global"]
    x = picture(operator)
    assert isinstance(operator, LinearOperator)
    assert (run("pigdm", operator, operator.A(x), Oracle(x), steps=4) - x).abs().max() < 1e-7


def test_known_noise_is_removed() -> None:
    x, operator = camera(48, 2), CompressedSensing((1, 48, 48), 0.6, block=16)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("pigdm", operator, y, shipped_prior(), noise=level, steps=12), x) for level in (0.1, 0.0))
    assert told > untold + 1
