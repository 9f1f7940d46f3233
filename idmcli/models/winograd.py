"""Faster convolutions for inference on a CPU: Winograd's minimal filtering (Lavin & Gray, CVPR 2016)."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

TILE, TAPS = 4, 3  # F(4x4, 3x3): 36 multiplications for 144
SIZE = TILE + TAPS - 1
ROWS = 8  # tile rows at a time, so that what is between the products stays in the cache
POINTS = (0.0, math.sqrt(0.5), -math.sqrt(0.5), math.sqrt(2), -math.sqrt(2))  # rounds like a direct convolution
MIN_CHANNELS = 192  # below that the transforms cost more than they save


class WinogradConv2d(nn.Module):
    """A 3x3 convolution with stride 1 and padding 1, 2 to 3 times faster than the direct one; no gradients.

    With the transforms A, B and G of one dimension, tiles d and filters g: ``Y = A^T [(G g G^T) * (B^T d B)] A``,
    here as three matrix products over all tiles. The transformed filters take four times the memory.
    """

    filters: Tensor
    data_transform: Tensor
    output_transform: Tensor
    bias: Tensor | None

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        a, b, g = (transform.to(conv.weight.device) for transform in _transforms())
        flat = conv.weight.detach().double().permute(2, 3, 1, 0).reshape(TAPS**2, -1)
        filters = (torch.kron(g, g) @ flat).view(SIZE**2, conv.in_channels, conv.out_channels)
        dtype = conv.weight.dtype
        self.register_buffer("filters", filters.to(dtype), persistent=False)
        self.register_buffer("data_transform", torch.kron(b, b).to(dtype), persistent=False)
        self.register_buffer("output_transform", torch.kron(a, a).to(dtype), persistent=False)
        self.register_buffer("bias", None if conv.bias is None else conv.bias.detach(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, C', H, W), in channels-last format."""
        batch, channels, height, width = x.shape
        down, across = -(-height // TILE), -(-width // TILE)
        x = F.pad(x.permute(0, 2, 3, 1), (0, 0, 1, across * TILE + 1 - width, 1, down * TILE + 1 - height))
        tiles = x.unfold(1, SIZE, TILE).unfold(2, SIZE, TILE).permute(4, 5, 0, 1, 2, 3)
        y = x.new_empty(batch, down * TILE, across * TILE, self.filters.shape[2])
        for top in range(0, down, ROWS):
            d = tiles[:, :, :, top : top + ROWS]
            rows = d.shape[3]
            transformed = (self.data_transform @ d.reshape(SIZE**2, -1)).view(SIZE**2, -1, channels)
            products = torch.bmm(transformed, self.filters)
            out = (self.output_transform @ products.view(SIZE**2, -1)).view(TILE, TILE, batch, rows, across, -1)
            here = y[:, top * TILE : (top + rows) * TILE].view(batch, rows, TILE, across, TILE, -1)
            here.copy_(out.permute(2, 3, 0, 4, 1, 5))
        y = y[:, :height, :width].permute(0, 3, 1, 2)
        return y if self.bias is None else y.add_(self.bias[:, None, None])


def _transforms() -> tuple[Tensor, Tensor, Tensor]:
    """A^T (4, 6), B^T (6, 6) and G (6, 3) in double precision: Toom-Cook at POINTS and infinity, transposed."""

    def evaluate(coefficients: int) -> Tensor:
        powers = torch.tensor(POINTS, dtype=torch.float64)[:, None] ** torch.arange(coefficients)
        return torch.cat([powers, torch.eye(coefficients, dtype=torch.float64)[-1:]])

    a, g, b = evaluate(TILE).T, evaluate(TAPS), torch.linalg.inv(evaluate(SIZE)).T
    scale = b.abs().amax(1, keepdim=True)  # balances the two factors of the product
    return a, b / scale, g * scale


def use_winograd(model: nn.Module) -> None:
    """Put Winograd convolutions in the place of a network's 3x3 ones, for inference in float32 on a CPU."""
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.Conv2d) and _suits(child):
                setattr(module, name, WinogradConv2d(child))


def _suits(conv: nn.Conv2d) -> bool:
    same = conv.kernel_size == (3, 3) and conv.stride == (1, 1) and conv.padding == (1, 1) and conv.groups == 1
    return same and conv.dilation == (1, 1) and min(conv.in_channels, conv.out_channels) >= MIN_CHANNELS
