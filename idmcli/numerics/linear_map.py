"""A linear map whose derivative is its adjoint, and whether two maps are adjoint."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]


def linear_map(x: Tensor, forward: Map, adjoint: Map) -> Tensor:
    """``forward(x)``, differentiated to any order by the pair (forward, adjoint).

    Nothing is stored for the backward pass, and the arithmetic stays in the precision of x under
    autocast, since measurements rounded to half precision are lost.

    Args:
        x: the input, of any shape.
        forward: a linear map of x; it may have no derivative of its own.
        adjoint: its adjoint for ``Re <a, b>``.

    Returns:
        the output.
    """
    return _LinearMap.apply(x, forward, adjoint)  # type: ignore[no-any-return, no-untyped-call]


class _LinearMap(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, forward: Map, adjoint: Map) -> Tensor:
        ctx.maps = forward, adjoint
        with no_autocast(x):
            return forward(x)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Tensor, None, None]:
        forward, adjoint = ctx.maps
        return linear_map(grads[0], adjoint, forward), None, None


def no_autocast(t: Tensor) -> AbstractContextManager[object]:
    """Where arithmetic on the device of t stays in the precision of the tensors, also under autocast."""
    kind = t.device.type
    return torch.autocast(kind, enabled=False) if torch.amp.is_autocast_available(kind) else nullcontext()


def adjoint_deviation(forward: Map, adjoint: Map, u: Tensor, w: Tensor) -> float:
    """How far two maps are from being adjoint: ``|Re <A u, v> - Re <u, A^T v>| / (|A u| |v|)``.

    Here ``v = A u / |A u| + w / |w|``. Random u and w alone are nearly orthogonal to everything where there are many
    values, so that a wrong scale would pass; the part along A u makes the two products large.

    Args:
        forward: A.
        adjoint: A^T.
        u: a random input of A.
        w: a random output of A.

    Returns:
        the deviation: rounding for a pair that is adjoint, of the order of 1 for one that is not.
    """
    a_u = forward(u)
    v = w / w.norm()
    norm = float(a_u.norm())
    if norm != 0:
        v = v + a_u / norm
    difference = abs(_inner(a_u, v) - _inner(u, adjoint(v)))
    scale = norm * float(v.norm())
    return difference / scale if scale != 0 else (math.inf if difference else 0.0)


def _inner(a: Tensor, b: Tensor) -> float:
    """``Re <a, b>``, summed in double precision."""
    return float((a.conj() * b).real.sum(dtype=torch.float64))
