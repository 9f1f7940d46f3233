"""The injector U-Net: shapes, parts, and what its first state computes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from idmcli.errors import InputError
from idmcli.models.injector import Context, Injection, Injector
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.unet import InjectorUNet, ResidualBlock, UNetConfig


def randomised(config: UNetConfig) -> InjectorUNet:
    torch.manual_seed(0)
    unet = InjectorUNet(config)
    for parameter in unet.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return unet


@pytest.mark.parametrize(("patch", "channels", "multiple"), [(2, (8, 16), 4), (1, (8,), 1), (2, (8, 16, 64), 8)])
@pytest.mark.parametrize("image_channels", [1, 3])
def test_shapes(patch: int, channels: tuple[int, ...], multiple: int, image_channels: int) -> None:
    unet = randomised(UNetConfig(image_channels, patch, channels, (1,) * len(channels)))
    assert unet.multiple == multiple
    x = torch.randn(2, image_channels, 3 * multiple, multiple)
    assert unet(x).shape == x.shape


def test_a_residual_block_starts_as_the_identity_up_to_its_bias() -> None:
    block, x = ResidualBlock(8), torch.randn(1, 8, 4, 4)
    torch.testing.assert_close(block(x, Context()), x + block.conv2.bias[:, None, None])
    nn.init.normal_(block.conv2.weight)
    torch.testing.assert_close(block(x, Context()), x + block.conv2(F.relu(block.conv1(x))))


def test_the_forward_pass_written_out() -> None:
    unet = randomised(UNetConfig(channels=(8, 16), blocks=(1, 2), steps=1))
    x = torch.randn(1, 1, 8, 8)
    given = Injection(0, torch.randn(1, 1, 8, 8), lambda image: image / 2)
    context = Context(given)
    (fine,) = unet.down[0](unet.conv_in(F.pixel_unshuffle(x, 2)), context)
    (coarse,) = unet.middle(unet.downsample[0](fine), context)
    (fine,) = unet.up[0](unet.upsample[0](coarse) + fine, context)
    torch.testing.assert_close(unet(x, given), F.pixel_shuffle(unet.conv_out(fine), 2))


def test_every_block_is_followed_by_an_injector_of_its_scale() -> None:
    unet = InjectorUNet(UNetConfig(channels=(8, 16), blocks=(1, 2), steps=3, injector_kernel=3))
    for group, blocks, scale in ((unet.down[0], 1, 2), (unet.middle, 2, 4), (unet.up[0], 1, 2)):
        kinds = [type(module) for module in group.modules_]
        assert kinds == [ResidualBlock, Injector] * blocks
        assert all(module.scale == scale for module in group.modules_[1::2])
    assert unet.middle.modules_[1].to_image[2].kernel_size == (3, 3)


def test_a_noise_estimator_has_no_injector_weights() -> None:
    plain = InjectorUNet(UNetConfig(channels=(8, 16), blocks=(1, 1)))
    injected = InjectorUNet(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=2))
    assert not [name for name, _ in plain.named_parameters() if "to_image" in name]
    assert set(plain.state_dict()) < set(injected.state_dict())


def test_the_default_size() -> None:
    parameters = sum(parameter.numel() for parameter in InjectorUNet(UNetConfig()).parameters())
    assert 1.5e6 < parameters < 3e6


def test_every_parameter_of_a_trained_network_gets_a_gradient() -> None:
    unet = randomised(UNetConfig(channels=(8, 16), blocks=(2, 1), steps=1))
    unet(torch.randn(1, 1, 8, 8), Injection(0, torch.randn(1, 1, 8, 8), lambda image: image)).square().sum().backward()
    without = [name for name, parameter in unet.named_parameters() if parameter.grad is None]
    assert without == []


def test_absurd_sizes_are_refused_before_they_are_built() -> None:
    for blocks, steps in (((2**63,), 0), ((6_000, 6_000), 0), ((2,), 10_000)):
        with pytest.raises(InputError, match="blocks and injectors is too large"):
            UNetConfig(channels=(4,) * len(blocks), blocks=blocks, steps=steps)
    with pytest.raises(InputError, match="for 1001 sampling steps is too large"):
        StableDiffusionConfig(steps=1001)
    for channels in ((), (0,), (4, -1)):
        with pytest.raises(InputError, match="cannot have"):
            UNetConfig(channels=channels, blocks=(1,) * len(channels))
