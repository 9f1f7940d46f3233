"""The injector U-Net: a noise estimator whose blocks are reversible groups."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.errors import InputError
from idmcli.models.injector import Context, Injection, Injector
from idmcli.models.precision import precisely
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.reversible.engine import Memory

MAX_PARTS = 2_000  # blocks per network, times sampling steps


@dataclass(frozen=True)
class UNetConfig:
    """Shape of an :class:`InjectorUNet`.

    Attributes:
        image_channels: 1 or 3.
        unshuffle: side of the pixel-unshuffle in front of the network.
        channels: feature channels per scale, finest first; each scale halves the resolution.
        blocks: residual blocks per scale on the way down and again on the way up (once at the coarsest).
        steps: T, the number of injector sets; 0 builds a plain noise estimator.
        injector_kernel: 1 or 3.
        v: initial mixing weight of the second-level couplings.
        injectors: whether the measurements enter the network too, or only between the steps.

    Raises:
        InputError: a scale without channels, or more than :data:`MAX_PARTS` blocks or injectors.
    """

    image_channels: int = 1
    unshuffle: int = 2
    channels: tuple[int, ...] = (32, 96, 192)
    blocks: tuple[int, ...] = (2, 2, 2)
    steps: int = 0
    injector_kernel: int = 1
    v: float = 0.5
    injectors: bool = True
    architecture: Literal["injector-unet"] = "injector-unet"

    def __post_init__(self) -> None:
        if min(self.channels, default=0) < 1:
            raise InputError(f"a network cannot have {list(self.channels)} channels", "give at least one per scale")
        parts = sum(self.blocks) * max(self.steps, 1)
        if parts > MAX_PARTS:  # a file may claim anything, and building them takes for ever
            raise InputError(
                f"a network of {parts} blocks and injectors is too large", f"at most {MAX_PARTS} are built"
            )


class ResidualBlock(nn.Module):
    """``x + conv(relu(conv(x)))``; the second convolution starts at zero."""

    samplewise = True

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        nn.init.zeros_(self.conv2.weight)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        residual: Tensor = self.conv2(F.relu(self.conv1(x), inplace=True))
        in_place = not torch.is_grad_enabled() and residual.dtype == x.dtype
        return residual.add_(x) if in_place else x + residual


class InjectorUNet(nn.Module):
    """Noise estimate of an image, (B, inputs C, H, W) to (B, outputs C, H, W).

    H and W are multiples of :attr:`multiple`. Every scale is one reversible group (residual block, injector, residual
    block, ...); changes of resolution and the additive skips lie between the groups.
    """

    last = "conv_out"  # the convolution that gives the outputs

    def __init__(self, config: UNetConfig, inputs: int = 1, outputs: int = 1) -> None:
        super().__init__()
        self.config = config
        self.multiple = config.unshuffle * 2 ** (len(config.channels) - 1)
        scales = list(zip(config.channels, config.blocks, strict=True))
        pairs = list(zip(config.channels, config.channels[1:], strict=False))
        outer = config.image_channels * config.unshuffle**2
        self.conv_in = nn.Conv2d(inputs * outer, config.channels[0], 3, padding=1)
        self.down = nn.ModuleList(self._group(level, *scale) for level, scale in enumerate(scales[:-1]))
        self.downsample = nn.ModuleList(nn.Conv2d(fine, coarse, 2, stride=2) for fine, coarse in pairs)
        self.middle = self._group(len(scales) - 1, *scales[-1])
        self.upsample = nn.ModuleList(nn.ConvTranspose2d(coarse, fine, 2, stride=2) for fine, coarse in pairs)
        self.up = nn.ModuleList(self._group(level, *scale) for level, scale in enumerate(scales[:-1]))
        self.conv_out = nn.Conv2d(config.channels[0], outputs * outer, 3, padding=1)

    def _group(self, level: int, channels: int, blocks: int) -> ReversibleGroup:
        c = self.config
        steps = c.steps if c.injectors else 0
        modules: list[nn.Module] = []
        for _ in range(blocks):
            modules.append(ResidualBlock(channels))
            modules.append(Injector(channels, c.unshuffle * 2**level, steps, c.image_channels, c.injector_kernel))
        return ReversibleGroup(modules, c.v)

    def forward(self, x: Tensor, injection: Injection | None = None, memory: Memory = "plain") -> Tensor:
        context = Context(injection)
        x = precisely(self.conv_in, F.pixel_unshuffle(x, self.config.unshuffle))
        skips: list[Tensor] = []
        for group, downsample in zip(self.down, self.downsample, strict=True):
            (x,) = group(x, context, memory)
            skips.append(x)
            x = downsample(x)
        (x,) = self.middle(x, context, memory)
        for group, upsample in zip(reversed(self.up), reversed(self.upsample), strict=True):
            (x,) = group(upsample(x) + skips.pop(), context, memory)
        return F.pixel_shuffle(precisely(self.conv_out, x), self.config.unshuffle)
