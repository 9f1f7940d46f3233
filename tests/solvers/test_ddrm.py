"""Sampling along the singular vectors: against null-space sampling, and with known noise."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from idmcli import solvers
from idmcli.metrics import psnr
from idmcli.operators import CompressedSensing, add_noise
from tests.small import OPERATORS, SIMPLE_BLUR, Gaussian, Oracle, camera, picture, run, shipped_prior


@dataclass(frozen=True)
class Remembering(Oracle):
    """Knows the image, and keeps the unit noise of what it is asked to denoise."""

    noise: list[Tensor] = field(default_factory=list)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        self.noise.append((r - self.truth) / sigma)
        return super().__call__(r, sigma)


SPECTRAL = [name for name, operator in OPERATORS.items() if not solvers.why_not(solvers.find("ddrm"), operator)]


def test_it_is_for_operators_with_a_spectrum() -> None:
    assert {"cs-global", "cs-global-padded", "inpainting-random"} <= set(SPECTRAL)
    assert "ct" not in SPECTRAL and "mri-radial" not in SPECTRAL


@pytest.mark.parametrize("name", SPECTRAL)
def test_with_fresh_noise_alone_it_is_null_space_sampling(name: str) -> None:
    """Without measurement noise and with eta = 1 both replace what was measured and draw the rest anew."""
    operator = OPERATORS[name]
    y = operator.A(picture(operator))
    ours = run("ddrm", operator, y, Gaussian(0.09), seed=3, steps=5, eta=1.0, temperature=1.0)
    theirs = run("ddnm", operator, y, Gaussian(0.09), seed=3, steps=5, eta=1.0)
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", SPECTRAL)
def test_measurements_are_met_without_noise(name: str) -> None:
    operator = OPERATORS[name]
    y = operator.A(picture(operator))
    found = run("ddrm", operator, y, Gaussian(0.09), steps=4)
    if operator.padded() is operator:  # else they are met by the padded image
        assert (operator.A(found) - y).abs().max() < 1e-6


@pytest.mark.parametrize("method", ["ddrm", "ddnm"])
@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
def test_the_state_has_the_noise_it_claims_in_every_singular_direction(method: str, eta: float) -> None:
    """The marginals of Proposition 3.1, for measurements whose noise is more or less than the state's."""
    x, noise = camera(48, 2).double(), 0.2
    y = add_noise(SIMPLE_BLUR.A(x), noise, 0)
    prior, spectrum = Remembering(x), SIMPLE_BLUR.spectrum()
    paper = {"temperature": 1.0} if method == "ddrm" else {}
    run(method, SIMPLE_BLUR, y, prior, noise=noise, steps=8, eta=eta, **paper)
    assert spectrum is not None
    count = spectrum.values.shape[1]
    for unit in prior.noise[1:]:
        coordinates = spectrum.to_basis(unit)
        measured, others = coordinates[..., :count], coordinates[..., count:]
        for group in (*measured[..., spectrum.values[0].argsort()].chunk(4, 2), others):
            assert float(group.square().mean()) == pytest.approx(1, rel=0.2)


def test_known_noise_is_removed() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.6)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("ddrm", operator, y, shipped_prior(), noise=level, steps=8), x) for level in (0.1, 0.0))
    assert told > untold + 1


def test_at_low_temperature_samples_are_nearer_to_the_image_and_to_each_other() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.3)
    y, scores, spread = operator.A(x), [], []
    for temperature in (1.0, 0.7):
        first, second = (
            run("ddrm", operator, y, shipped_prior(), seed=seed, steps=8, temperature=temperature) for seed in (0, 1)
        )
        scores.append(psnr(first, x))
        spread.append(float((first - second).square().mean()))
    assert scores[1] > scores[0] + 1 and spread[1] < 0.7 * spread[0]
