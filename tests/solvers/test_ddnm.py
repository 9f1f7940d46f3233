"""Null-space diffusion sampling: every operator, every seed, with and without noise."""

from __future__ import annotations

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.numerics.noise import SIGMA_END, SIGMA_START
from idmcli.operators import CompressedSensing, LinearOperator, add_noise
from tests.small import (
    REAL,
    SIMPLE_BLUR,
    Gaussian,
    Oracle,
    Watched,
    camera,
    each,
    gain,
    picture,
    random,
    run,
    shipped_prior,
)


@each(*REAL)
def test_measurements_are_met_and_seeds_matter(operator: LinearOperator) -> None:
    y = operator.A(picture(operator))
    found, again, other = (run("ddnm", operator, y, Gaussian(0.05), seed=seed, steps=4) for seed in (0, 0, 1))
    if operator.padded() is operator:  # else they are met by the padded image
        closed_form = operator.solve(y).iterations == 0
        assert (operator.A(found) - y).abs().max() < (1e-9 if closed_form else 2e-2) * y.abs().max()
    assert torch.equal(found, again) and not torch.equal(found, other)


@each(*REAL)
def test_an_oracle_is_believed(operator: LinearOperator) -> None:
    x = picture(operator)
    assert (run("ddnm", operator, operator.A(x), Oracle(x), steps=4) - x).abs().max() < 1e-7


@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
def test_the_noise_levels_fall_geometrically_and_are_met(eta: float) -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.3)
    prior = Watched(Oracle(x), x)
    run("ddnm", operator, operator.A(x), prior, steps=6, eta=eta)
    expected = [SIGMA_START * (SIGMA_END / SIGMA_START) ** (step / 5) for step in range(6)]
    assert [claimed for _, claimed in prior.seen] == pytest.approx(expected, rel=1e-4)
    for actual, claimed in prior.seen[1:]:
        assert actual == pytest.approx(claimed, rel=0.05)


def test_the_levels_lie_within_those_the_shipped_prior_was_trained_for() -> None:
    low, high = shipped_prior().noise_levels
    assert low <= SIGMA_END < SIGMA_START <= high


def test_noise_in_the_measurements_is_part_of_the_noise_of_the_state() -> None:
    """DDNM+: after a step to level sigma' >= noise the state has this level in all, in the range of A too."""
    x, operator, noise = camera(64), CompressedSensing((1, 64, 64), 1.0), 0.2
    prior = Watched(Oracle(x), x)
    run("ddnm", operator, add_noise(operator.A(x), noise, 0), prior, noise=noise, steps=8, eta=1.0)
    for actual, claimed in prior.seen[1:]:
        assert actual == pytest.approx(claimed, rel=0.05)
    assert min(claimed for _, claimed in prior.seen) < noise


def test_with_a_gaussian_prior_it_samples_what_was_not_measured() -> None:
    """In the limit of many steps without fresh noise, the null space has the variance P s^2 / (P + s^2)."""
    x, operator = 0.45 + 0.3 * random(1, 1, 64, 64), CompressedSensing((1, 64, 64), 0.3)
    found = run("ddnm", operator, operator.A(x), Gaussian(0.09), steps=150, eta=0.0) - 0.45
    unseen = found - operator.normal(found)
    variance = 0.09 * SIGMA_START**2 / (0.09 + SIGMA_START**2)
    assert float(unseen.square().mean()) / 0.7 == pytest.approx(variance, rel=0.06)


def test_known_noise_is_removed() -> None:
    x, operator = camera(48), CompressedSensing((1, 48, 48), 0.6, block=16)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("ddnm", operator, y, shipped_prior(), noise=level, steps=12), x) for level in (0.1, 0.0))
    assert told > untold + 1


def test_a_single_step_is_the_denoised_start_on_the_measurements() -> None:
    operator = CompressedSensing((3, 20, 30), 0.5, block=8)
    x = torch.rand(2, 3, 20, 30)
    found = run("ddnm", operator.padded(), operator.A(x), shipped_prior(), steps=1)
    torch.testing.assert_close(operator.padded().A(found), operator.A(x), rtol=0, atol=1e-5)


def test_noise_is_not_multiplied_where_singular_values_are_small() -> None:
    """DDNM+ in full: the pseudo-inverse of this blur multiplies noise by up to a thousand."""
    assert gain("ddnm", SIMPLE_BLUR, steps=12) > 1


@each("deblur-gaussian", "sr")
def test_in_full_it_takes_the_steps_of_ddrm(operator: LinearOperator) -> None:
    """Both from a level at which the prior has forgotten the start, with eta = 1, which forgets it again."""
    y, truth = operator.A(picture(operator)), Oracle(picture(operator))
    ours, theirs = (run(name, operator, y, truth, noise=0.3, steps=3, eta=1.0) for name in ("ddnm", "ddrm"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)
