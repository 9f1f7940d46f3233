"""DRUNet, the residual U-Net of plug-and-play restoration (Zhang et al., TPAMI 2021)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from idmcli.models.foreign.padding import pad_to


class Residual(nn.Module):
    """``x + conv(relu(conv(x)))``."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.res = nn.Sequential(_conv(channels, channels), nn.ReLU(), _conv(channels, channels))

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.res(x)
        return x + residual


class DRUNet(nn.Module):
    """Denoised image of an image and a map of its noise level; four scales, no biases.

    Args:
        channels: of images.
        features: of the four scales, 64, 128, 256 and 512 as published.
        blocks: per scale and way, 4 as published.
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
