"""The mix of two streams, with a cheap backward pass."""

from __future__ import annotations

from typing import Any, cast

import torch
from torch import Tensor


def mix(h: Tensor, f: Tensor, v: Tensor, *, overwrite: bool = False) -> Tensor:
    """``(1 - v) f + v h`` (Eq. 4) in the memory format of h.

    Args:
        h, f: of one shape and type.
        v: a number, (), of the same type.
        overwrite: whether the result takes the place of h, without a gradient.
    """
    if overwrite:
        return h.lerp_(f, 1 - v)
    return cast(Tensor, _Mix.apply(h, f, v))  # type: ignore[no-untyped-call]


class _Mix(torch.autograd.Function):
    """torch.lerp, whose own gradient of v would take temporaries of the size of h and slow reductions."""

    @staticmethod
    def forward(h: Tensor, f: Tensor, v: Tensor) -> Tensor:
        return torch.lerp(h, f, 1 - v)

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor], output: Tensor) -> None:
        h, f, v = inputs
        ctx.save_for_backward(v, *((h, f) if ctx.needs_input_grad[2] else ()))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        v, *streams = ctx.saved_tensors
        for_h, for_f, _ = ctx.needs_input_grad
        grad_v = inner(grad, streams[0]) - inner(grad, streams[1]) if streams else None
        return v * grad if for_h else None, (1 - v) * grad if for_f else None, grad_v


def inner(a: Tensor, b: Tensor) -> Tensor:
    """``sum(a b)``, without a temporary where both fill their memory in the same order."""
    order = sorted(range(a.ndim), key=a.stride, reverse=True)
    first, second = a.permute(order), b.permute(order)
    if first.is_contiguous() and second.is_contiguous() and a.numel() < 2**31:  # more is refused by CUDA
        return torch.dot(first.view(-1), second.view(-1))
    return (a * b).sum()
