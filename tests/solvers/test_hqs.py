"""Half-quadratic splitting: its fixed point for Gaussian images, its levels, and noise."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.operators import CompressedSensing, LinearOperator, Operator, Problem, add_noise
from tests.small import (
    NONLINEAR,
    OPERATORS,
    REAL,
    Gaussian,
    Oracle,
    Watched,
    camera,
    each,
    picture,
    random,
    run,
    shipped_prior,
    smooth_images,
)


@each(*OPERATORS)
def test_measurements_are_met(operator: LinearOperator) -> None:
    y = operator.A(picture(operator))
    found = run("hqs", operator, y, Gaussian(0.05), iterations=4)
    if operator.padded() is operator:
        closed_form = operator.solve(y).iterations == 0
        assert (operator.A(found) - y).abs().max() < (1e-9 if closed_form else 2e-2) * y.abs().max()


@each(*REAL, *NONLINEAR)
def test_an_oracle_is_believed(operator: Operator) -> None:
    x = picture(operator)
    assert (run("hqs", operator, operator.A(x), Oracle(x), iterations=4) - x).abs().max() < 1e-7


def test_the_noise_levels_fall_geometrically_whatever_the_noise() -> None:
    x, operator = camera(32), CompressedSensing((1, 32, 32), 0.3)
    for noise, start in ((0.0, 0.2), (0.3, 0.2), (0.0, 0.005)):
        prior = Watched(Oracle(x), x)
        run("hqs", operator, operator.A(x), prior, noise=noise, iterations=5, sigma_start=start, sigma_end=0.01)
        first = max(start, 0.01)
        expected = [first * (0.01 / first) ** (step / 4) for step in range(5)]
        assert [claimed for _, claimed in prior.seen] == pytest.approx(expected, rel=1e-4)


@each("mri-radial", "cs-blocks-colour", "nonlinear_deblur-circular")
def test_it_starts_from_total_variation_if_asked(operator: Operator) -> None:
    """A prior sees that image first; total variation does not change with a constant."""
    y = operator.A(picture(operator))
    smooth = run("tv" if isinstance(operator, LinearOperator) else "gradient", operator, y)
    gaps = {}
    for start in ("tv", "operator"):
        prior = Watched(Gaussian(0.05), smooth)
        run("hqs", operator, y, prior, iterations=1, start=start)
        gaps[start] = prior.seen[0][0]
    assert 10 * gaps["tv"] < gaps["operator"]


@each("inpainting-given", "sr", "ct", "nonlinear_deblur")
def test_the_prior_is_weighed_against_the_noise(operator: Operator) -> None:
    """``x = argmin |y - A x|^2 + rho |x - z|^2``, rho = lambda noise^2 / sigma^2, is what the next call sees."""
    x, noise, sigma = picture(operator), 0.5, 0.25
    y, prior = add_noise(operator.A(x), noise, 0), Watched(Oracle(x), x)
    levels = {"sigma_start": sigma, "sigma_end": sigma}
    run("hqs", operator, y, prior, noise=noise, iterations=2, weight=0.3, momentum=0.0, **levels)
    expected = operator.prox(x, y, sigma**2 / (0.3 * noise**2))
    assert prior.seen[-1][0] == pytest.approx(float((expected - x).std()), rel=1e-4)


@each("inpainting-given", "sr", "deblur-circular", "mri-radial")
def test_the_least_of_noise_is_next_to_none(operator: LinearOperator) -> None:
    """Its square is none at all in single precision."""
    x, options = picture(operator).to(torch.float32), {"iterations": 3, "sigma_end": 0.5}
    least, none = (run("hqs", operator, operator.A(x), Oracle(x), noise=noise, **options) for noise in (1e-20, 0.0))
    torch.testing.assert_close(least, none, rtol=0, atol=1e-2)


@each("deblur-circular", "ct")
def test_it_starts_where_noise_is_not_blown_up(operator: LinearOperator) -> None:
    x, noise = picture(operator), 0.1
    y, prior = add_noise(operator.A(x), noise, 0), Watched(Oracle(x), x)
    run("hqs", operator, y, prior, noise=noise, iterations=1)
    first = Problem(operator, y, noise).first_guess(prior.domain.mean)
    assert prior.seen[0][0] == pytest.approx(float((first - x).std()), rel=1e-4)
    assert prior.seen[0][0] < float((operator.pinv(y) - x).std())


@pytest.mark.parametrize("momentum", [0.0, 0.6])
@pytest.mark.parametrize(("weight", "noise"), [(1e-6, 0.2), (0.23, 0.2), (1.0, 0.4)])
def test_with_a_gaussian_prior_it_converges_to_the_shrunk_image(weight: float, noise: float, momentum: float) -> None:
    """Where all is measured, ``z = P A^T y / (P + (1 + lambda) noise^2)``: the posterior mean for lambda = 0."""
    x, operator = 0.45 + 0.3 * random(1, 1, 32, 32), CompressedSensing((1, 32, 32), 1.0)
    y, power = add_noise(operator.A(x), noise, 0), 0.09
    options = {"weight": weight, "momentum": momentum, "sigma_start": noise, "sigma_end": noise}
    found = run("hqs", operator, y, Gaussian(power), noise=noise, iterations=60, **options) - 0.45
    expected = power / (power + (1 + weight) * noise**2) * (operator.AT(y) - 0.45)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@each("inpainting-given", "cs-global", "mri-radial", "deblur-circular", "sr")
@pytest.mark.parametrize("momentum", [0.0, 0.6])
def test_with_a_gaussian_prior_it_converges_to_a_posterior_mean(operator: LinearOperator, momentum: float) -> None:
    """At one level s, with lambda = 1: to the mean of x given y = A (x + s n) + noise, in closed form."""
    images, noise = smooth_images(*operator.image_shape), 0.2
    y = add_noise(operator.A(images.draw(1)), noise, 0)
    s = noise / operator.squared_norm(y) ** 0.5
    noisy = replace(images, covariance=images.covariance + s**2 * torch.eye(len(images.covariance)))
    mean, _ = noisy.posterior(operator, y, noise)
    expected = images(mean, torch.full((1, 1, 1, 1), s, dtype=mean.dtype))
    options = {"weight": 1.0, "sigma_start": s, "sigma_end": s, "iterations": 250, "momentum": momentum}
    found = run("hqs", operator, y, images, noise=noise, **options)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-4)


def test_momentum_arrives_sooner() -> None:
    x, operator, noise = 0.45 + 0.3 * random(1, 1, 32, 32), CompressedSensing((1, 32, 32), 1.0), 0.1
    y = add_noise(operator.A(x), noise, 0)
    levels = {"sigma_start": 0.1, "sigma_end": 0.1}
    limit, plain, fast = (
        run("hqs", operator, y, Gaussian(0.09), noise=noise, weight=10.0, iterations=n, momentum=m, **levels)
        for n, m in ((400, 0.0), (12, 0.0), (12, 0.6))
    )
    assert (fast - limit).norm() < (plain - limit).norm() / 2


def test_known_noise_is_removed() -> None:
    x, operator = camera(48), CompressedSensing((1, 48, 48), 0.6, block=16)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("hqs", operator, y, shipped_prior(), noise=n, iterations=12), x) for n in (0.1, 0.0))
    assert told > untold + 1
