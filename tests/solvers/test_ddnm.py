"""Null-space diffusion sampling: every operator, every seed, with and without noise."""

from __future__ import annotations

import math

import pytest
import skimage.data
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.checkpoints import load_weights, shipped_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.unet import UNetConfig
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, add_noise
from idmcli.solvers.ddnm import SIGMA_END, SIGMA_START, ddnm


class Oracle(Denoiser):
    """Knows the image, and notes the noise it is shown."""

    def __init__(self, truth: Tensor) -> None:
        super().__init__(DenoiserConfig(UNetConfig(channels=(4,), blocks=(1,)), mean=0.45))
        self.truth = truth - self.mean
        self.seen: list[tuple[float, float]] = []

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        self.seen.append((float((r - self.truth).std()), float(sigma.mean())))
        return self.truth.expand_as(r), (r - self.truth) / sigma


def camera(side: int = 32) -> Tensor:
    return torch.from_numpy(skimage.data.camera()[128 : 128 + side, 128 : 128 + side] / 255).float()[None, None]


def shipped() -> Denoiser:
    model = load_weights(shipped_weights("prior-tiny"))
    assert isinstance(model, Denoiser)
    return model


MASK = (torch.arange(32 * 32).reshape(32, 32) * 7 % 5 < 2).float()
OPERATORS = {
    "cs": CompressedSensing((1, 32, 32), 0.3, block=16),
    "cs padded": CompressedSensing((1, 32, 32), 0.3, block=24),
    "inpainting": Inpainting((1, 32, 32), MASK),
    "mri": MRI((1, 32, 32), {"type": "radial", "fraction": 0.3}),
    "mri lines": MRI((1, 32, 32), {"type": "equispaced", "acceleration": 3, "centre_fraction": 0.1}),
    "ct": ParallelBeamCT((1, 20, 20), 8),
}


@pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())
def test_every_operator_with_a_real_prior(operator: LinearOperator) -> None:
    x = camera(operator.image_shape[1])
    y = operator.A(x)
    found = ddnm(shipped(), operator, y, steps=3)
    assert found.shape == x.shape and bool(found.isfinite().all())
    residual = (operator.A(found) - y).abs().max() / y.abs().max()
    if operator.padded() is operator:
        assert residual < (1e-4 if operator.kind != "ct" else 1e-2)
    assert torch.equal(found, ddnm(shipped(), operator, y, steps=3, seed=0))
    assert not torch.equal(found, ddnm(shipped(), operator, y, steps=3, seed=1))


def test_an_oracle_is_believed() -> None:
    x = camera()
    found = ddnm(Oracle(x), OPERATORS["cs"], OPERATORS["cs"].A(x), steps=4)
    assert (found - x).abs().max() < 1e-5


@pytest.mark.parametrize("eta", [0.0, 0.85, 1.0])
def test_the_noise_levels_fall_geometrically_and_are_met(eta: float) -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.3)
    oracle = Oracle(x)
    ddnm(oracle, operator, operator.A(x), steps=6, eta=eta)
    expected = [SIGMA_START * (SIGMA_END / SIGMA_START) ** (step / 5) for step in range(6)]
    assert [claimed for _, claimed in oracle.seen] == pytest.approx(expected, rel=1e-4)
    for actual, claimed in oracle.seen[1:]:
        assert actual == pytest.approx(claimed, rel=0.05)


def test_noise_in_the_measurements_is_part_of_the_noise_of_the_state() -> None:
    """DDNM+: after a step to level sigma' >= noise the state has this level in all, in the range of A too."""
    x, operator, noise = camera(64), CompressedSensing((1, 64, 64), 1.0), 0.2
    oracle = Oracle(x)
    ddnm(oracle, operator, add_noise(operator.A(x), noise, 0), noise=noise, steps=8, eta=1.0)
    for actual, claimed in oracle.seen[1:]:
        assert actual == pytest.approx(claimed, rel=0.05)
    assert min(claimed for _, claimed in oracle.seen) < noise


def test_known_noise_is_removed() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.6)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(ddnm(shipped(), operator, y, noise=level, steps=15), x) for level in (0.1, 0.0))
    assert told > untold + 1


def test_colours_and_one_step() -> None:
    operator = CompressedSensing((3, 20, 30), 0.5, block=8)
    y = operator.A(torch.rand(2, 3, 20, 30))
    assert ddnm(shipped(), operator, y, steps=1).shape == (2, 3, 20, 30)


def test_the_start_covers_what_a_prior_is_trained_for() -> None:
    assert math.isclose(SIGMA_START, 1.5) and 0 < SIGMA_END < 0.01
