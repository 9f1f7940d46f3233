"""Denoising message passing: exact for white images, and with the shipped prior, with and without noise."""

from __future__ import annotations

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.operators import CompressedSensing, LinearOperator, add_noise
from tests.small import Gaussian, Oracle, Watched, camera, each, picture, random, run, shipped_prior

POWER = 0.09


def white(side: int) -> torch.Tensor:
    """An image that :class:`Gaussian` is the best denoiser of."""
    return 0.45 + POWER**0.5 * random(1, 1, side, side, dtype=torch.float32)


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_noise_level_it_claims_is_the_one_there_is(noise: float) -> None:
    """For white images everything is exact: r is x plus white noise of the level given to the denoiser."""
    x, operator = white(96), CompressedSensing((1, 96, 96), 0.4, seed=3)
    prior = Watched(Gaussian(POWER), x)
    run("vamp", operator, add_noise(operator.A(x), noise, 1), prior, noise=noise, iterations=4)
    for actual, claimed in prior.seen:
        assert claimed == pytest.approx(actual, rel=0.04)
    assert len(prior.seen) == 4


def test_the_best_linear_estimate_of_a_white_image() -> None:
    """No denoiser can help there: the error is the power outside the measurements, 1 - ratio of it."""
    x, operator = white(64), CompressedSensing((1, 64, 64), 0.4, seed=3)
    found = run("vamp", operator, operator.A(x), Gaussian(POWER))
    assert (found - x).square().mean().item() == pytest.approx(0.6 * POWER, rel=0.05)


@each("cs-global", "cs-full-ratio", "cs-global-padded", "cs-given")
def test_an_oracle_is_believed(operator: LinearOperator) -> None:
    x = picture(operator)
    assert (run("vamp", operator, operator.A(x), Oracle(x), iterations=3) - x).abs().max() < 1e-9


@each("cs-global", "cs-full-ratio")
def test_measurements_are_met_without_noise(operator: LinearOperator) -> None:
    y = operator.A(picture(operator))
    assert (operator.A(run("vamp", operator, y, Gaussian(0.05), iterations=3)) - y).abs().max() < 1e-9


def test_every_channel_has_its_own_noise_level() -> None:
    x = torch.cat([camera(64), 0.2 * camera(64), 0.5 + 0.5 * camera(64)], dim=1)
    operator, grey = CompressedSensing((3, 64, 64), 0.3), CompressedSensing((1, 64, 64), 0.3)
    together = run("vamp", operator, operator.A(x), shipped_prior(), iterations=5)
    for channel, truth in enumerate(x.split(1, 1)):
        apart = psnr(run("vamp", grey, grey.A(truth), shipped_prior(), iterations=5), truth)
        assert abs(float(psnr(together[:, channel : channel + 1], truth) - apart)) < 0.5


def test_colours_help_each_other() -> None:
    """Three noisy views of much the same picture, where each channel has a permutation of its own."""
    x = torch.cat([camera(64), 0.9 * camera(64), 0.1 + 0.8 * camera(64)], dim=1)
    operator = CompressedSensing((3, 64, 64), 0.2, permutation_seed=[1, 2, 3])
    together, apart = (
        psnr(run("vamp", operator, operator.A(x), shipped_prior(name), iterations=10), x)
        for name in ("prior-colour", "prior-grey")
    )
    assert together > apart + 2


def test_starts_beyond_the_noise_levels_of_training_come_back() -> None:
    x = (torch.arange(64) % 64 > 31).float().expand(1, 1, 64, 64).contiguous()  # black and white: sigma starts at 2.4
    operator, prior = CompressedSensing((1, 64, 64), 0.04), Watched(shipped_prior(), x)
    found = run("vamp", operator, operator.A(x), prior)
    assert prior.seen[0][1] > prior.noise_levels[1]
    assert float(psnr(found.clamp(0, 1), x)) > 12


def test_the_shipped_prior_beats_tikhonov() -> None:
    x, operator = camera(96), CompressedSensing((1, 96, 96), 0.3)
    y = operator.A(x)
    assert psnr(run("vamp", operator, y, shipped_prior(), iterations=6), x) > psnr(run("tikhonov", operator, y), x) + 2


def test_known_noise_is_removed() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.5)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (
        psnr(run("vamp", operator, y, shipped_prior(), noise=level, iterations=6), x) for level in (0.1, 0.0)
    )
    assert told > untold + 1
    assert told > psnr(run("tikhonov", operator, y, noise=0.1), x)


def test_the_last_call_may_be_the_mean_over_turns() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.2)
    y, prior = operator.A(x), Watched(shipped_prior(), x)
    once, mean = (psnr(run("vamp", operator, y, prior, iterations=6, final_turns=turns), x) for turns in (False, True))
    assert mean > once + 0.02
    assert len(prior.seen) == 6 + 5 + 8
