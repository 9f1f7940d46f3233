"""CSNet+: a learned matrix for blocks of 32 x 32 pixels, and residual blocks (Shi et al., IEEE TIP 2019)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.block_sampling import BLOCK, BlockSampling
from idmcli.models.injector import Context
from idmcli.models.precision import precisely
from idmcli.models.sampling_network import CHANNELS, SamplingConfig, SamplingNetwork, silent

BLOCKS = 5


class CSNetPlus(SamplingNetwork):
    """The network that Table 6 of Chen et al. (TPAMI 2025) counts as CSNet+: five residual blocks.

    The sampling starts as the lowest frequencies of a block, and the first image as its adjoint: from random weights a
    long training finds little else. The deep part starts with He et al.'s weights (ICCV 2015), for smaller ones fade
    in it: half of its layers have no way around them.
    """

    kind = "csnet-plus"

    def __init__(self, config: SamplingConfig) -> None:
        measuring = nn.Conv2d(1, max(1, round(config.ratio * BLOCK**2)), BLOCK, stride=BLOCK, bias=False)
        sampling = BlockSampling(nn.Sequential(measuring), BLOCK)
        super().__init__(config, sampling, [LateBlock() for _ in range(BLOCKS)])
        phi = lowest_frequencies(measuring.out_channels, BLOCK)
        with torch.no_grad():
            measuring.weight.copy_(phi.view_as(measuring.weight))
            sampling.initial.weight.copy_(phi.T[..., None, None])
        self.head = nn.Conv2d(1, CHANNELS, 3, padding=1, bias=False)
        self.tail = silent(nn.Conv2d(CHANNELS, 1, 3, padding=1, bias=False))

    def refine(self, image: Tensor, blocks: Callable[[Tensor], Tensor]) -> Tensor:
        return precisely(self.tail, blocks(F.relu(precisely(self.head, image))))


def lowest_frequencies(rows: int, side: int) -> Tensor:
    """The ``rows`` vectors of lowest frequency in the orthonormal two-dimensional cosine transform (DCT-II) of
    ``side`` x ``side`` pixels, (rows, side^2), ordered by the length of their wave vector."""
    k = torch.arange(side, dtype=torch.float64)
    cosines = torch.cos(torch.pi / side * k[:, None] * (k + 0.5)) * (2 / side) ** 0.5
    cosines[0] /= 2**0.5
    order = (k[:, None] ** 2 + k**2).flatten().argsort(stable=True)[:rows]
    return torch.kron(cosines, cosines)[order].float()


class LateBlock(nn.Module):
    """``out = relu(conv(a))`` with ``a = relu(conv(x)) + x``: the skip joins after the first convolution."""

    samplewise = True

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.conv2 = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        for layer in (self.conv1, self.conv2):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")

    def forward(self, x: Tensor, context: Context) -> Tensor:
        return F.relu(self.conv2(F.relu(self.conv1(x)) + x))
