"""The largest eigenvalue of a map, by power iteration."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor


@torch.no_grad()
def largest_eigenvalue(normal: Callable[[Tensor], Tensor], start: Tensor, iterations: int = 20) -> float:
    """Of a self-adjoint, positive semi-definite map, from below; 1 if ``start`` is in its null space."""
    x = start
    for _ in range(iterations):
        x = normal(x / x.norm().clamp_min(torch.finfo(x.real.dtype).tiny))
    return float(x.norm()) or 1.0
