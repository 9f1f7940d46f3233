"""Learned sampling of an image block by block, and the first image that is made of it: both are linear."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.numerics.linear_map import no_autocast
from idmcli.operators.blocks import from_blocks, to_blocks

BLOCK = 32  # side of a block in pixels, as in CSNet+ and RK-CCSNet
GROUP = "sampling"  # of the parameters: a good start is soon spoilt by the steps that the deep part needs
DENSE = 0.25  # share of entries other than zero from which on a matrix is kept as a whole


class BlockSampling(nn.Module):
    """The map A of B x B blocks by convolutions, and the map that takes the place of A+.

    The convolutions of a block see zeros around it. The first image comes from a 1x1 convolution of what they give,
    and a pixel shuffle.

    Args:
        measuring: convolutions without bias, (n, 1, B, B) to (n, q, b, b).
        scale: B / b.
        block: B.
    """

    def __init__(self, measuring: nn.Sequential, scale: int, block: int = BLOCK) -> None:
        super().__init__()
        last = measuring[-1]
        assert isinstance(last, nn.Conv2d)
        self.block, self.scale, self.channels = block, scale, last.out_channels
        self.measuring = measuring
        self.initial = nn.Conv2d(self.channels, scale**2, 1, bias=False)
        for weight in measuring.parameters():
            nn.init.normal_(weight, std=weight[0].numel() ** -0.5)
        for layer in self.modules():
            layer.__dict__["parameter_group"] = GROUP  # a plain attribute, which getattr finds

    @property
    def rows(self) -> int:
        """M, the measurements of a block."""
        return self.channels * (self.block // self.scale) ** 2

    def measure(self, x: Tensor) -> Tensor:
        """y = A x, (B, blocks, M), of images (B, 1, H, W) whose sides are multiples of the block's."""
        with no_autocast(x):
            y: Tensor = self.measuring(to_blocks(x, self.block).reshape(-1, 1, self.block, self.block))
        return y.reshape(len(x), -1, self.rows)

    def first_image(self, y: Tensor, size: tuple[int, int]) -> Tensor:
        """The image of ``size`` = (H, W), (B, 1, H, W), that stands for ``A+ y``."""
        side = self.block // self.scale
        with no_autocast(y):
            pixels = self.initial(y.reshape(-1, self.channels, side, side))
        blocks = F.pixel_shuffle(pixels, self.scale)
        return from_blocks(blocks.reshape(len(y), 1, -1, self.block**2), size)

    def forward(self, x: Tensor) -> Tensor:
        """``A+ A x``."""
        return self.first_image(self.measure(x), (x.shape[2], x.shape[3]))

    @torch.no_grad()
    def matrix(self) -> Tensor:
        """A as a matrix (M, B^2) in float32, sparse where most of it is zero; computed in float64 on the CPU."""
        pixels = torch.eye(self.block**2, dtype=torch.float64).view(-1, 1, self.block, self.block)
        for layer in self.measuring:
            assert isinstance(layer, nn.Conv2d)
            kernel = layer.weight.to("cpu", torch.float64)
            pixels = F.conv2d(pixels, kernel, stride=layer.stride, padding=layer.padding)
        phi = pixels.flatten(1).T.float()
        return phi if phi.count_nonzero() > DENSE * phi.numel() else phi.to_sparse()
