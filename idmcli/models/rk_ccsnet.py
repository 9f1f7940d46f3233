"""RK-CCSNet: convolutional sampling, and residual blocks by a learned Runge-Kutta rule (Zheng et al., ECCV 2020)."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor, nn

from idmcli.models.block_sampling import BlockSampling
from idmcli.models.injector import Context
from idmcli.models.precision import precisely
from idmcli.models.sampling_network import CHANNELS, SamplingConfig, SamplingNetwork, silent

BLOCKS = 8


class RKCCSNet(SamplingNetwork):
    """Two measurements of every 2 x 2 pixels at 50 %; eight Runge-Kutta blocks with a skip around all of them.

    The ratio is one of 1/2, 1/4, ... 1/64: that many convolutions of stride 2, then 4 or 2 values at each place.
    """

    kind = "rk-ccsnet"

    def __init__(self, config: SamplingConfig) -> None:
        super().__init__(config, _sampling(config.ratio), [RungeKuttaBlock() for _ in range(BLOCKS)])
        self.head = nn.Conv2d(1, CHANNELS, 3, padding=1)
        self.body = nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1)
        self.tail = silent(nn.Conv2d(CHANNELS, 1, 3, padding=1))

    def refine(self, image: Tensor, blocks: Callable[[Tensor], Tensor]) -> Tensor:
        features = precisely(self.head, image)
        return precisely(self.tail, self.body(blocks(features)) + features)


class RungeKuttaBlock(nn.Module):
    """``out = x + b2 k2(k2(u)) + b1 u`` with ``u = x + a k1(k1(x))``, ``a = 1 / (2 b2)`` and ``b1 + b2 = 1``.

    k1 and k2 are convolutions with a PReLU, each applied twice; ``b1 = exp(-exp(alpha))`` is learned.
    """

    samplewise = True

    def __init__(self) -> None:
        super().__init__()
        self.k1, self.k2 = _stage(), _stage()
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        b1 = torch.exp(-torch.exp(self.alpha))
        b2 = 1 - b1
        u = x + self.k1(self.k1(x)) / (2 * b2)
        return cast(Tensor, x + b2 * self.k2(self.k2(u)) + b1 * u)


def _stage() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1), nn.PReLU(CHANNELS, 0.25))


def _sampling(ratio: float) -> BlockSampling:
    """Convolutions of stride 2 until 4 or 2 values a place are the ratio."""
    halvings = next(n for n in range(1, 5) if ratio * 4**n >= 2)
    widths = [1, *[CHANNELS] * halvings]
    strided = [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False) for i, o in zip(widths, widths[1:], strict=False)]
    last = nn.Conv2d(CHANNELS, round(ratio * 4**halvings), 1, bias=False)
    return BlockSampling(nn.Sequential(*strided, last), 2**halvings)
