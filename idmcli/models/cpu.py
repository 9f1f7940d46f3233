"""Faster inference on CPUs where oneDNN multiplies matrices faster than PyTorch's own library does, such as AMD's."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.stable_diffusion import Attention, Residual, StableDiffusionUNet

SCORES = 2**21  # of attention at a time: 8 MiB, which bounds the memory and stays in the cache
GAIN = 1.2  # smaller ones are within the noise of the measurement


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``x @ weight.T + bias`` by oneDNN, in float32 and without gradients (torch.compile calls the same)."""
    y: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return y


class Linear(nn.Linear):
    """A linear layer by :func:`product`; PyTorch's own where gradients are recorded."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) if torch.is_grad_enabled() else product(x, self.weight, self.bias)


class PixelwiseConv2d(nn.Conv2d):
    """A 1x1 convolution by :func:`product`; PyTorch's own where gradients are recorded."""

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return super().forward(x)
        return product(x.permute(0, 2, 3, 1).contiguous(), self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class Attend:
    """Self-attention by :func:`product`, some queries at a time; a processor for diffusers' attention."""

    def __call__(self, layer: Any, x: Tensor, *arguments: Any, **options: Any) -> Tensor:
        q, k, v = (
            part(x).unflatten(-1, (layer.heads, -1)).transpose(1, 2) for part in (layer.to_q, layer.to_k, layer.to_v)
        )
        y: Tensor = layer.to_out[0](attend(q, k, v).transpose(1, 2).flatten(2))
        return y


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """``softmax(q k^T / sqrt(d)) v`` for each head; all (B, heads, N, d)."""
    if torch.is_grad_enabled():
        return F.scaled_dot_product_attention(q, k, v)
    batch, heads, n, d = q.shape
    out = q.new_empty(batch, n, heads, d).transpose(1, 2)
    for sample in range(batch):
        for head in range(heads):
            here = sample, head
            queries, keys, values = q[here] * d**-0.5, k[here].contiguous(), v[here].T.contiguous()
            for start in range(0, n, rows := max(1, SCORES // n)):
                scores = product(queries[start : start + rows], keys)
                out[here][start : start + rows] = product(torch.softmax(scores, -1, out=scores), values)
    return out


def use_onednn(unet: StableDiffusionUNet) -> None:
    """Put oneDNN's products in the place of the blocks' linear layers, 1x1 convolutions and attention.

    The parameters stay what and where they are, in float32 on a CPU; where gradients are recorded nothing changes.
    """
    for block in unet.modules():
        if isinstance(block, Attention):
            for layer in block.block.transformer_blocks:
                layer.attn1.set_processor(Attend())
        for module in block.modules() if isinstance(block, Attention | Residual) else ():
            if type(module) is nn.Linear:
                module.__class__ = Linear
            elif type(module) is nn.Conv2d and module.kernel_size == (1, 1):
                module.__class__ = PixelwiseConv2d


@cache
@torch.no_grad()
def onednn_pays(size: int = 320, rows: int = 1024, rounds: int = 10) -> bool:
    """Whether :func:`product` is clearly faster here than PyTorch's linear layer, by one short measurement."""
    if not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
        return False
    x, weight = torch.ones(rows, size), torch.ones(size, size)
    ways: tuple[Callable[[Tensor, Tensor], Tensor], ...] = (product, F.linear)
    least = [float("inf")] * len(ways)
    for _ in range(rounds):
        for number, way in enumerate(ways):
            start = time.perf_counter()
            way(x, weight)
            least[number] = min(least[number], time.perf_counter() - start)
    return GAIN * least[0] < least[1]
