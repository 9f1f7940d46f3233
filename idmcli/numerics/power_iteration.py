"""The largest eigenvalue of a map, by power iteration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def largest_eigenvalue(normal: Callable[[Tensor], Tensor], start: Tensor, iterations: int = 20) -> float:
    """The largest eigenvalue of a self-adjoint, positive semi-definite map, from below.

    Args:
        normal: the map.
        start: where the iteration starts, not zero.
        iterations: their number.

    Returns:
        the eigenvalue; 1 if ``start`` is in the null space of the map.
    """
    x = start
    for _ in range(iterations):
        x = normal(x / x.norm().clamp_min(torch.finfo(x.real.dtype).tiny))
    return float(x.norm()) or 1.0
