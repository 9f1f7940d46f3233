"""Reversible coupling of two streams (Chen et al., TPAMI 2025, Eqs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn

V_MIN, V_MAX = 0.05, 0.95


class Coupling(nn.Module):
    """One learned mixing weight v of a coupling around a function F.

    forward: ``x' = (1 - v) F(x) + v h,  h' = x``  (Eq. 4)
    inverse: ``x = h',  h = (x' - (1 - v) F(h')) / v``  (Eq. 5)

    The arithmetic runs in the precision of the streams, never in autocast's.
    """

    def __init__(self, v: float = 0.5) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.tensor(float(v)))

    def forward(self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return torch.lerp(function(x).to(x.dtype), h, self.v), x

    def inverse(self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return h, (x - (1 - self.v) * function(h).to(x.dtype)) / self.v

    @torch.no_grad()
    def constrain_(self) -> None:
        """Keep v inside [0.05, 0.95], where the division of Eq. 5 is sound."""
        self.v.clamp_(V_MIN, V_MAX)


class ReversibleGroup(nn.Module):
    """A run of shape-preserving modules, coupled one after the other on a pair of streams.

    Each module is called as ``module(x, context)`` and keeps the shape of ``x``.
    The group opens with ``h = open_scale * x`` and closes with ``x + close_scale * h``.
    """

    def __init__(self, modules: Iterable[nn.Module], v: float = 0.5) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList(modules)
        self.couplings = nn.ModuleList(Coupling(v) for _ in self.modules_)
        self.open_scale = nn.Parameter(torch.ones(()))
        self.close_scale = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor, context: Any = None) -> Tensor:
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # autocast may have left the streams in half
        x, h = self.pair(x, self.open_scale * x, context)
        return x + self.close_scale * h

    def pair(self, x: Tensor, h: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """The bijection of the streams: (x, h) before the group to (x, h) after it."""
        for function, coupling in self._steps(context):
            x, h = coupling(function, x, h)
        return x, h

    def inverse(self, x: Tensor, h: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo :meth:`pair`."""
        for function, coupling in reversed(self._steps(context)):
            x, h = coupling.inverse(function, x, h)
        return x, h

    def _steps(self, context: Any) -> list[tuple[Callable[[Tensor], Tensor], Coupling]]:
        def bound(module: nn.Module) -> Callable[[Tensor], Tensor]:
            return lambda x: module(x, context)

        couplings = cast(Iterable[Coupling], self.couplings)
        return [(bound(module), coupling) for module, coupling in zip(self.modules_, couplings, strict=True)]
