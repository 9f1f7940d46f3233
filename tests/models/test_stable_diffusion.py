"""The full-size network's parts, at a small size."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Context, Injection
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import Attention, StableDiffusionConfig, StableDiffusionUNet
from idmcli.operators import CompressedSensing
from idmcli.reversible.plan import NAMED, PlanName, named_plan


def small(steps: int = 2, image_channels: int = 1) -> StableDiffusionUNet:
    torch.manual_seed(0)
    unet = StableDiffusionUNet(StableDiffusionConfig(image_channels, steps, channels=(32, 64)))
    for name, parameter in unet.named_parameters():
        if "to_features" in name:
            nn.init.normal_(parameter, std=0.1)
    return unet


@pytest.mark.parametrize("image_channels", [1, 3])
def test_shapes(image_channels: int) -> None:
    x = torch.randn(2, image_channels, 12, 8)
    given = Injection(1, torch.randn_like(x), lambda image: image / 2)
    assert small(image_channels=image_channels)(x, given).shape == x.shape


def test_without_measurements_it_is_a_noise_estimator() -> None:
    plain, injected = small(steps=0), small(steps=1)
    assert not [name for name, _ in plain.named_parameters() if "to_image" in name]
    assert set(plain.state_dict()) < set(injected.state_dict())
    assert plain(torch.randn(1, 1, 8, 8)).shape == (1, 1, 8, 8)


@pytest.mark.parametrize("name", [name for name in NAMED if name != "plain"])
def test_gradients_in_every_memory_plan(name: PlanName) -> None:
    torch.manual_seed(0)
    config = StableDiffusionConfig(steps=2, channels=(32, 64))
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(config, 0.0))).double()
    for key, parameter in model.named_parameters():
        if "to_features" in key:
            nn.init.normal_(parameter, std=0.1)
    operator = CompressedSensing((1, 16, 16), 0.3, block=8)
    x = torch.rand(2, 1, 16, 16, dtype=torch.float64)
    y = operator.A(x)

    def gradients(name: PlanName) -> tuple[Tensor, ...]:
        return torch.autograd.grad((model(y, operator, named_plan(name, 2)) - x).abs().mean(), list(model.parameters()))

    for found, expected in zip(gradients(name), gradients("plain"), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-7, atol=1e-10)


def test_attention_in_tiles() -> None:
    """A window is what the block makes of it alone; a tile as large as the image changes nothing."""
    torch.manual_seed(0)
    attention, x = Attention(32), torch.randn(1, 32, 10, 12)
    whole = attention(x, Context())
    attention.tile = 12
    assert torch.equal(attention(x, Context()), whole)
    attention.tile = 6
    tiled = attention(x, Context())
    attention.tile = None
    torch.testing.assert_close(tiled[:, :, 5:, :6], attention(x[:, :, 5:, :6], Context()))
    assert not torch.allclose(tiled, whole)


def test_tiles_are_given_in_image_pixels() -> None:
    unet = small()
    unet.attend_in_tiles(64)
    tiles = {module.block.in_channels: module.tile for module in unet.modules() if isinstance(module, Attention)}
    assert tiles == {32: 32, 64: 16}


def test_a_denoiser_over_it_takes_any_size() -> None:
    denoiser = Denoiser(DenoiserConfig(StableDiffusionConfig(channels=(32, 64)), 0.0))
    assert denoiser.estimate(torch.randn(1, 3, 13, 9)).shape == (1, 3, 13, 9)
