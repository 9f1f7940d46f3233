"""A linear map whose derivative is its adjoint."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def linear_map(x: Tensor, forward: Map, adjoint: Map) -> Tensor:
    """``forward(x)``, differentiated to any order by the pair (forward, adjoint).

    Nothing is stored for the backward pass, and the arithmetic stays in the precision of x under
    autocast, since measurements rounded to half precision are lost.
    """
    return _LinearMap.apply(x, forward, adjoint)  # type: ignore[no-any-return, no-untyped-call]


class _LinearMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Map, adjoint: Map) -> Tensor:
        ctx.maps = forward, adjoint
        with torch.autocast(x.device.type, enabled=False):
            return forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return linear_map(grads[0], adjoint, forward), None, None
