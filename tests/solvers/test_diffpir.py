"""DiffPIR: what theory says for Gaussian images, DDNM where the two coincide, and noise."""

from __future__ import annotations

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.numerics.noise import SIGMA_END, SIGMA_START
from idmcli.operators import CompressedSensing, LinearOperator, add_noise
from idmcli.solvers.diffpir import LEAST_NOISE
from tests.small import REAL, Gaussian, Oracle, Watched, camera, each, picture, random, run, shipped_prior

TIGHT = [name for name, operator in REAL.items() if operator.padded().tight]


@each(*REAL)
def test_measurements_are_met_and_seeds_matter(operator: LinearOperator) -> None:
    y = operator.A(picture(operator))
    found, again, other = (run("diffpir", operator, y, Gaussian(0.05), seed=seed, steps=5) for seed in (0, 0, 1))
    if operator.padded() is operator:
        assert (operator.A(found) - y).abs().max() < 0.05 * y.abs().max()
    assert torch.equal(found, again) and not torch.equal(found, other)


@each(*REAL)
def test_an_oracle_is_believed(operator: LinearOperator) -> None:
    x = picture(operator)
    assert (run("diffpir", operator, operator.A(x), Oracle(x), steps=4) - x).abs().max() < 1e-7


@each(*TIGHT)
def test_with_fresh_noise_alone_and_no_weight_on_the_prior_it_is_ddnm(operator: LinearOperator) -> None:
    """zeta = 1 and eta = 1 forget the old noise; the pull of the prior, weight noise^2 / sigma^2, vanishes."""
    y = operator.A(picture(operator))
    ours = run("diffpir", operator, y, Gaussian(0.05), steps=8, zeta=1.0, weight=1e-9)
    theirs = run("ddnm", operator, y, Gaussian(0.05), steps=8, eta=1.0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-8)


@pytest.mark.parametrize("zeta", [0.0, 0.3, 1.0])
def test_the_noise_levels_fall_geometrically_and_are_met(zeta: float) -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.3)
    prior = Watched(Oracle(x), x)
    run("diffpir", operator, operator.A(x), prior, steps=6, zeta=zeta)
    expected = [SIGMA_START * (SIGMA_END / SIGMA_START) ** (step / 5) for step in range(6)]
    assert [claimed for _, claimed in prior.seen] == pytest.approx(expected, rel=1e-4)
    for actual, claimed in prior.seen[1:]:
        assert actual == pytest.approx(claimed, rel=0.05)


def test_with_a_gaussian_prior_it_samples_what_was_not_measured() -> None:
    """In the limit of many steps without fresh noise, the null space has the variance P s^2 / (P + s^2)."""
    x, operator = 0.45 + 0.3 * random(1, 1, 64, 64), CompressedSensing((1, 64, 64), 0.3)
    y = operator.A(x)
    found = run("diffpir", operator, y, Gaussian(0.09), steps=150, zeta=0.0)
    unseen = found - 0.45 - operator.normal(found - 0.45)
    variance = 0.09 * SIGMA_START**2 / (0.09 + SIGMA_START**2)
    assert float(unseen.square().mean()) / 0.7 == pytest.approx(variance, rel=0.06)
    assert float((operator.A(found) - y).std()) < LEAST_NOISE


def test_the_weight_balances_data_and_prior() -> None:
    """Where all is measured, one step gives (A^T y + rho x0) / (1 + rho) with rho = weight noise^2 / sigma^2."""
    x, operator, noise = 0.45 + 0.3 * random(1, 1, 32, 32), CompressedSensing((1, 32, 32), 1.0), 0.2
    y = add_noise(operator.A(x), noise, 0)
    found = run("diffpir", operator, y, Oracle(x), noise=noise, steps=1, weight=100.0)
    rho = 100 * noise**2 / SIGMA_START**2
    torch.testing.assert_close(found - x, operator.AT(y - operator.A(x)) / (1 + rho), rtol=0, atol=1e-9)


def test_known_noise_is_removed() -> None:
    x, operator = camera(48), CompressedSensing((1, 48, 48), 0.6, block=16)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (
        psnr(run("diffpir", operator, y, shipped_prior(), noise=level, steps=12), x) for level in (0.1, 0.0)
    )
    assert told > untold + 1
