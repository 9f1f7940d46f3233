"""DRUNet, the residual U-Net of plug-and-play restoration (Zhang et al., TPAMI 2021)."""

from __future__ import annotations

import re
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from idmcli.models.padding import pad_to
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.networks import build_network, check_image_channels, load_tensors, photographs

NOISE_LEVELS = (0.0, 50 / 255)
DEEPINV_LEVELS = (0.0, 20 / 255)  # of the weights that deepinv trained


class Residual(nn.Module):
    """``x + conv(relu(conv(x)))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.res(x)
        return x + residual


class DRUNet(nn.Module):
    """An image and a map of its noise level to the denoised image; four scales, no biases.

    Args:
        channels: number of channels of images.
        features: numbers of channels on the four scales; 64, 128, 256 and 512 as published.
        blocks: residual blocks on each scale, on the way down and on the way up; 4 as published.
    """

    def __init__(self, channels: int, features: Sequence[int], blocks: int) -> None:
        super().__init__()
        self.channels = channels
        one, two, three, four = features

        def residuals(width: int) -> list[nn.Module]:
            return [Residual(width) for _ in range(blocks)]

        def down(fine: int, coarse: int) -> nn.Sequential:
            return nn.Sequential(*residuals(fine), nn.Conv2d(fine, coarse, 2, stride=2, bias=False))

        def up(coarse: int, fine: int) -> nn.Sequential:
            return nn.Sequential(nn.ConvTranspose2d(coarse, fine, 2, stride=2, bias=False), *residuals(fine))

        self.m_head = _conv(channels + 1, one)
        self.m_down1, self.m_down2, self.m_down3 = down(one, two), down(two, three), down(three, four)
        self.m_body = nn.Sequential(*residuals(four))
        self.m_up3, self.m_up2, self.m_up1 = up(four, three), up(three, two), up(two, one)
        self.m_tail = _conv(one, channels)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        padded = pad_to(x, 8)
        x1 = self.m_head(torch.cat([padded, sigma.expand(-1, 1, *padded.shape[2:])], 1))
        x2 = self.m_down1(x1)
        x3 = self.m_down2(x2)
        x4 = self.m_down3(x3)
        y = self.m_up3(self.m_body(x4) + x4)
        y = self.m_up1(self.m_up2(y + x3) + x2)
        denoised: Tensor = self.m_tail(y + x1)
        return denoised[..., : x.shape[2], : x.shape[3]]


def _conv(inner: int, outer: int) -> nn.Conv2d:
    return nn.Conv2d(inner, outer, 3, padding=1, bias=False)


def recognises(source: Source) -> bool:
    """Whether a state dict is DRUNet's, by the names of its first and last convolution."""
    return bool({"m_head.weight", "m_tail.weight"} & source.tensors.keys())


def load(source: Source) -> ModulePrior:
    """The prior in a state dict.

    Raises:
        InputError: it is damaged.
        NumericalError: a value is not finite.
    """
    path, tensors = source.path, source.tensors

    def build() -> DRUNet:
        widths = [tensors[f"m_up{scale}.0.weight"].shape[1] for scale in (1, 2, 3)]
        blocks = len([name for name in tensors if re.fullmatch(r"m_body\.\d+\.res\.0\.weight", name)])
        channels = check_image_channels(path, tensors["m_tail.weight"].shape[0])
        return DRUNet(channels, [*widths, tensors["m_up3.0.weight"].shape[0]], blocks)

    network = load_tensors(path, build_network(path, build), tensors)
    levels = DEEPINV_LEVELS if "deepinv" in path.stem else NOISE_LEVELS
    return ModulePrior(network, path.stem, photographs(network.channels, symmetric=True), levels)


FORMAT = PriorFormat(recognises, load)
