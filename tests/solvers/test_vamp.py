"""Denoising message passing: with an oracle, with the shipped prior, with noise."""

from __future__ import annotations

import pytest
import skimage.data
import torch
from idmcli.solvers.classical import tikhonov
from torch import Tensor

from idmcli.errors import InputError
from idmcli.metrics import psnr
from idmcli.models.checkpoints import load_weights, shipped_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.unet import UNetConfig
from idmcli.operators import CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, add_noise
from idmcli.solvers.vamp import vamp


class Wiener(Denoiser):
    """The best denoiser of white Gaussian images of a known power: d = s r with s = P / (P + sigma^2)."""

    def __init__(self, power: float) -> None:
        super().__init__(DenoiserConfig(UNetConfig(channels=(4,), blocks=(1,)), mean=0.45))
        self.power = power
        self.seen: list[tuple[float, float]] = []
        self.truth: Tensor | None = None

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        if self.truth is not None:
            self.seen.append((float((r - self.truth).std()), float(sigma.mean())))
        e = r * sigma / (self.power + sigma**2)
        return r - sigma * e, e


def camera(side: int = 128) -> Tensor:
    return torch.from_numpy(skimage.data.camera()[128 : 128 + side, 128 : 128 + side] / 255).float()[None, None]


def shipped() -> Denoiser:
    model = load_weights(shipped_weights("prior-tiny"))
    assert isinstance(model, Denoiser)
    return model


def test_every_channel_has_its_own_noise_level() -> None:
    x = torch.cat([camera(96), 0.2 * camera(96), 0.5 + 0.5 * camera(96)], dim=1)
    operator = CompressedSensing((3, 96, 96), 0.3)
    together = vamp(shipped(), operator, operator.A(x))
    grey = CompressedSensing((1, 96, 96), 0.3)
    for channel in range(3):
        truth = x[:, channel : channel + 1]
        apart = float(psnr(vamp(shipped(), grey, grey.A(truth)), truth))
        assert abs(float(psnr(together[:, channel : channel + 1], truth)) - apart) < 0.5


def test_starts_beyond_the_noise_levels_of_training_come_back() -> None:
    x = (torch.arange(64) % 64 > 31).float().expand(1, 1, 64, 64).contiguous()  # black and white: sigma starts at 2.4
    operator = CompressedSensing((1, 64, 64), 0.04)
    assert float(psnr(vamp(shipped(), operator, operator.A(x)).clamp(0, 1), x)) > 12


@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_the_noise_level_it_claims_is_the_one_there_is(noise: float) -> None:
    """For white images everything is exact: r is x plus white noise of the level given to the denoiser."""
    x = 0.3 * torch.randn(1, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    operator, denoiser = CompressedSensing((1, 128, 128), 0.4, seed=3), Wiener(0.09)
    denoiser.truth = x
    vamp(denoiser, operator, add_noise(operator.A(x + 0.45), noise, 1), noise=noise, iterations=4)
    for actual, claimed in denoiser.seen[::2]:  # every second call is the probe's
        assert claimed == pytest.approx(actual, rel=0.03)
    assert len(denoiser.seen) == 2 * 4 - 1


def test_the_best_linear_estimate_of_a_white_image() -> None:
    """No denoiser can help there: the error is the power outside the measurements, 1 - ratio of it."""
    x = 0.3 * torch.randn(1, 1, 64, 64, generator=torch.Generator().manual_seed(0))
    operator = CompressedSensing((1, 64, 64), 0.4, seed=3)
    found = vamp(Wiener(0.09), operator, operator.A(x + 0.45))
    assert (found - 0.45 - x).square().mean().item() == pytest.approx(0.6 * 0.09, rel=0.05)


@pytest.mark.parametrize("shape", [(1, 64, 64), (3, 40, 33)])
def test_measurements_are_met_without_noise(shape: tuple[int, int, int]) -> None:
    x = torch.rand(1, *shape, generator=torch.Generator().manual_seed(0))
    operator = CompressedSensing(shape, 0.25, block=16)
    y = operator.A(x)
    found = vamp(Wiener(0.05), operator, y, iterations=3)
    assert found.shape == x.shape
    if operator.tight:  # with padding they are met by the padded image
        assert (operator.A(found) - y).abs().max() < 1e-5


def test_the_shipped_prior_beats_tikhonov() -> None:
    x = camera()
    operator = CompressedSensing((1, 128, 128), 0.3)
    y = operator.A(x)
    assert psnr(vamp(shipped(), operator, y), x) > psnr(tikhonov(operator, y), x) + 2


def test_the_shipped_prior_with_noise() -> None:
    x, sigma = camera(96), 0.1
    operator = CompressedSensing((1, 96, 96), 0.5)
    y = add_noise(operator.A(x), sigma, 0)
    told, untold = (psnr(vamp(shipped(), operator, y, noise=level, iterations=8), x) for level in (sigma, 0.0))
    assert told > untold + 1
    assert told > psnr(tikhonov(operator, y, noise=sigma), x)


def test_everything_measured_is_returned() -> None:
    x = camera(32)
    operator = CompressedSensing((1, 32, 32), 1.0)
    assert (vamp(Wiener(0.05), operator, operator.A(x)) - x).abs().max() < 1e-5


@pytest.mark.parametrize(
    "operator",
    [
        ParallelBeamCT((1, 16, 16), 8),
        Inpainting((1, 16, 16), torch.ones(16, 16).triu()),
        CompressedSensing((1, 16, 16), 0.5, block=8, permutation="none"),
    ],
)
def test_operators_that_are_not_structurally_random_are_refused(operator: LinearOperator) -> None:
    y = operator.A(torch.rand(1, 1, 16, 16))
    with pytest.raises(InputError, match=f"not for this {operator.kind} operator") as caught:
        vamp(Wiener(0.05), operator, y)
    assert "--method ddnm" in caught.value.hint
