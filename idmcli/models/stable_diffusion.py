"""The full-size network: the two finest scales of Stable Diffusion 1.5's U-Net, with injectors.

Left out of the original are the time embedding, cross-attention, the middle block and the coarser scales
(Chen et al., TPAMI 2025, Sec. 3.4). The blocks come from diffusers, which is imported when one is built.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.errors import InputError
from idmcli.models.injector import Context, Injection, Injector
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.reversible.engine import Memory, run

HEADS = 8
NORM_GROUPS = 32
PATCH = 2

MAX_STEPS = 1000


@dataclass(frozen=True)
class StableDiffusionConfig:
    """Shape of a :class:`StableDiffusionUNet`.

    Attributes:
        image_channels: 1 or 3.
        steps: T, the number of injector sets; 0 builds a plain noise estimator.
        injector_kernel: 1 or 3.
        v: initial mixing weight of the second-level couplings.
        channels: of the two scales; multiples of 32.
        injectors: whether the measurements enter the network too, or only between the steps.
    """

    image_channels: int = 1
    steps: int = 0
    injector_kernel: int = 1
    v: float = 0.5
    channels: tuple[int, int] = (320, 640)
    injectors: bool = True
    architecture: Literal["stable-diffusion"] = "stable-diffusion"

    def __post_init__(self) -> None:
        if self.steps > MAX_STEPS:  # a file may claim anything, and building them takes for ever
            raise InputError(f"a network for {self.steps} sampling steps is too large", f"at most {MAX_STEPS}")


class Residual(nn.Module):
    """A residual block without time embedding; of ``x`` and, with ``skip``, of ``[x, context.skips[skip]]``."""

    samplewise = True

    def __init__(self, channels: int, out: int, skip: int | None = None) -> None:
        from diffusers.models.resnet import ResnetBlock2D

        super().__init__()
        self.skip = skip
        self.block = ResnetBlock2D(
            in_channels=channels,
            out_channels=out,
            temb_channels=None,  # type: ignore[arg-type]
            groups=NORM_GROUPS,
            eps=1e-5,
        )

    def forward(self, x: Tensor, context: Context) -> Tensor:
        if self.skip is not None:
            x = torch.cat([x, context.skips[self.skip]], dim=1)
        y: Tensor = self.block(x, None)
        return y


class Attention(nn.Module):
    """A transformer block over the pixels: self-attention and a gated feed-forward layer.

    Attributes:
        tile: largest side, in feature pixels, of the windows it looks at one by one; None for all pixels at once.
    """

    samplewise = True

    def __init__(self, channels: int) -> None:
        from diffusers.models.transformers.transformer_2d import Transformer2DModel

        super().__init__()
        self.tile: int | None = None
        self.block = Transformer2DModel(
            num_attention_heads=HEADS,
            attention_head_dim=channels // HEADS,
            in_channels=channels,
            norm_num_groups=NORM_GROUPS,
        )

    def forward(self, x: Tensor, context: Context) -> Tensor:
        if self.tile is None:
            return self._attend(x)
        down, across = (-(-side // self.tile) for side in x.shape[2:])
        rows = (row.tensor_split(across, 3) for row in x.tensor_split(down, 2))
        return torch.cat([torch.cat([self._attend(window) for window in row], 3) for row in rows], 2)

    def _attend(self, x: Tensor) -> Tensor:
        y: Tensor = self.block(x, return_dict=False)[0]
        return y


class UpEntry(nn.Module):
    """From the scale below into an up block: resize or repeat, then the residual block that takes the first skip."""

    samplewise = True

    def __init__(self, below: int, skip: int, out: int, *, upsample: bool) -> None:
        from diffusers.models.upsampling import Upsample2D

        super().__init__()
        self.upsample = Upsample2D(below, use_conv=True) if upsample else None
        self.residual = Residual(skip + (below if upsample else 2 * below), out, skip=0)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        # The kept blocks expect the 1280 channels of a coarser scale: its place is taken by the input, twice.
        x = torch.cat([x, x], dim=1) if self.upsample is None else self.upsample(x)
        y: Tensor = self.residual(x, context)
        return y


class Head(nn.Module):
    """Normalisation and the last convolution."""

    samplewise = True

    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(NORM_GROUPS, channels, eps=1e-5)
        self.conv = nn.Conv2d(channels, out, 3, padding=1)

    def forward(self, x: Tensor, context: Context) -> Tensor:
        y: Tensor = self.conv(F.silu(self.norm(x)))
        return y


class StableDiffusionUNet(nn.Module):
    """Noise estimate of an image, (B, inputs C, H, W) to (B, outputs C, H, W).

    H and W are multiples of :attr:`multiple`.
    """

    multiple = 2 * PATCH
    last = "head.conv"  # the convolution that gives the outputs

    def __init__(self, config: StableDiffusionConfig, inputs: int = 1, outputs: int = 1) -> None:
        from diffusers.models.downsampling import Downsample2D

        super().__init__()
        self.config = config
        fine, coarse = config.channels
        outer = config.image_channels * PATCH**2
        self.conv_in = nn.Conv2d(inputs * outer, fine, 3, padding=1)
        self.down_fine = self._down(fine, PATCH, [Residual(fine, fine), Residual(fine, fine)])
        self.downsample = Downsample2D(fine, use_conv=True, name="op")  # whose parameters are called conv
        self.enter_coarse = Residual(fine, coarse)
        self.down_coarse = self._down(coarse, 2 * PATCH, [None, Residual(coarse, coarse)])
        self.enter_up_coarse = UpEntry(coarse, coarse, coarse, upsample=False)
        skips = [None, Residual(2 * coarse, coarse, skip=1), Residual(coarse + fine, coarse, skip=2)]
        self.up_coarse = self._up(coarse, 2 * PATCH, skips)
        self.enter_up_fine = UpEntry(coarse, fine, fine, upsample=True)
        self.up_fine = self._up(fine, PATCH, [None, *(Residual(2 * fine, fine, skip=skip) for skip in (1, 2))])
        self.head = Head(fine, outputs * outer)

    def _modules_of(self, channels: int, scale: int, residual: Residual | None) -> list[nn.Module]:
        c = self.config

        def injector() -> Injector:
            return Injector(channels, scale, c.steps if c.injectors else 0, c.image_channels, c.injector_kernel)

        return [*([residual] if residual else []), injector(), Attention(channels), injector()]

    def _down(self, channels: int, scale: int, residuals: list[Residual | None]) -> ReversibleGroup:
        layers = [self._modules_of(channels, scale, residual) for residual in residuals]
        exits = [len(layers[0]), len(layers[0]) + len(layers[1])]
        return ReversibleGroup([module for layer in layers for module in layer], self.config.v, exits)

    def _up(self, channels: int, scale: int, residuals: list[Residual | None]) -> ReversibleGroup:
        layers = [self._modules_of(channels, scale, residual) for residual in residuals]
        return ReversibleGroup([module for layer in layers for module in layer], self.config.v)

    def attend_in_tiles(self, side: int) -> None:
        """Let attention look at windows of at most ``side`` image pixels, for images that are too large for one.

        Time and memory then grow with the number of pixels, not with its square. The network was trained on
        crops: what a window of that size does not see, it never saw. All else stays as for the whole image.
        """
        for group, scale in (
            *((group, PATCH) for group in (self.down_fine, self.up_fine)),
            *((group, 2 * PATCH) for group in (self.down_coarse, self.up_coarse)),
        ):
            for module in group.modules_:
                if isinstance(module, Attention):
                    module.tile = max(1, side // scale)

    def forward(self, x: Tensor, injection: Injection | None = None, memory: Memory = "plain") -> Tensor:
        context = Context(injection)
        first = self.conv_in(F.pixel_unshuffle(x, PATCH))
        skips = [first, *self.down_fine(first, context, memory)]
        small = self.downsample(skips[-1])
        x = run(self.enter_coarse, small, Context(), memory)
        skips += [small, *self.down_coarse(x, context, memory)]
        x = run(self.enter_up_coarse, skips[-1], Context(skips=(skips[-1],)), memory)
        (x,) = self.up_coarse(x, Context(injection, (skips[5], skips[4], skips[3])), memory)
        x = run(self.enter_up_fine, x, Context(skips=(skips[2],)), memory)
        (x,) = self.up_fine(x, Context(injection, (skips[2], skips[1], skips[0])), memory)
        return F.pixel_shuffle(run(self.head, x, Context(), memory), PATCH)
