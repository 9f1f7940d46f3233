"""Reversible coupling of two streams (Chen et al., TPAMI 2025, Eqs. 4 and 5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor, nn

from idmcli.reversible.engine import Memory, reverse, run
from idmcli.reversible.mix import mix

V_MIN, V_MAX = 0.05, 0.95
CHAIN = 6  # an inversion divides by v: at v = 0.5 six of them turn a rounding error into 64


class Coupling(nn.Module):
    """One learned mixing weight v of a coupling around a function F.

    forward: ``x' = (1 - v) F(x) + v h,  h' = x``  (Eq. 4)
    inverse: ``x = h',  h = (x' - (1 - v) F(h')) / v``  (Eq. 5)

    The arithmetic runs in the precision of the streams, never in autocast's.
    """

    parameter_group = "couplings"

    def __init__(self, v: float = 0.5) -> None:
        super().__init__()
        self.v = nn.Parameter(torch.tensor(float(v)))

    def forward(
        self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor, *, overwrite: bool = False
    ) -> tuple[Tensor, Tensor]:
        """(x', h'); without a gradient, x' may overwrite h."""
        # h comes first because the first operand gives the result its memory format: one for the whole group.
        return mix(h, function(x).to(h.dtype), self.v, overwrite=overwrite), x

    def inverse(self, function: Callable[[Tensor], Tensor], x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
        return h, (x - (1 - self.v) * function(h).to(x.dtype)) / self.v

    @torch.no_grad()
    def constrain_(self) -> None:
        """Keep v inside [0.05, 0.95], where the division of Eq. 5 is sound."""
        self.v.clamp_(V_MIN, V_MAX)


class ReversibleGroup(nn.Module):
    """A run of shape-preserving modules, coupled one after the other on a pair of streams.

    The group opens with ``h = open_scale * x``. After the modules where it has an exit it gives out
    ``x + close_scale * h``; the streams go on unchanged.

    Args:
        modules: each is called as ``module(x, context)``, keeps the shape of x, draws no random numbers and changes no
            buffer of its own.
        v: initial mixing weight.
        exits: numbers of modules after which there is an exit, ascending; the last is the end.
    """

    parameter_group = "couplings"

    def __init__(self, modules: Iterable[nn.Module], v: float = 0.5, exits: Sequence[int] | None = None) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList(modules)
        self.couplings = nn.ModuleList(Coupling(v) for _ in self.modules_)
        self.exits = [len(self.modules_)] if exits is None else list(exits)
        if self.exits != sorted(set(self.exits)) or self.exits[0] < 1 or self.exits[-1] != len(self.modules_):
            raise ValueError(f"exits {self.exits} of {len(self.modules_)} modules do not ascend to the end")
        for name, module in self.named_modules():
            if isinstance(module, nn.modules.batchnorm._NormBase) and module.track_running_stats:
                raise ValueError(f"{name} updates statistics in every pass, and a reversible group runs it twice")
        self.open_scale = nn.Parameter(torch.ones(()))
        self.close_scale = nn.Parameter(torch.zeros(len(self.exits)) if len(self.exits) > 1 else torch.zeros(()))

    def forward(self, x: Tensor, context: Any = None, memory: Memory = "plain") -> list[Tensor]:
        """The tensors at the exits, from the input of the group.

        Args:
            x: (B, ...).
            context: what the modules read beside x: None, or a tuple; its tensors get gradients too.
            memory: what is kept for the backward pass. The result is the same.
        """
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # autocast may have left the streams in half
        if memory == "reversible" and torch.is_grad_enabled():
            return reverse(self, x, context)
        alone = not torch.is_grad_enabled()
        steps = self.walk(x, lambda module, x: run(module, x, context, memory), overwrite=alone)
        return [self.leave(*step) for step in steps if step[0] in self.exits]

    def walk(
        self, x: Tensor, call: Callable[[nn.Module, Tensor], Tensor], *, overwrite: bool = False
    ) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The streams (x, h) after each module, with its number.

        Args:
            x: the input of the group.
            call: ``call(module, x)`` runs a module.
            overwrite: whether streams take the place of earlier ones. The input (h of the second module) stays.
        """
        h = self.open_scale * x
        for number, (module, coupling) in enumerate(self._steps(), start=1):
            x, h = coupling(partial(call, module), x, h, overwrite=overwrite and number != 2)
            yield number, x, h

    def leave(self, number: int, x: Tensor, h: Tensor) -> Tensor:
        """The output at the exit after module ``number``."""
        return torch.addcmul(x, h, self.close_scale.reshape(-1)[self.exits.index(number)])

    def anchors(self) -> list[int]:
        """Numbers of modules after which the backward pass need not rely on inversion; the last is the end.

        They cut the group into chains of at most ``CHAIN`` modules, at an exit where one is near.
        """
        depth = len(self.modules_)
        chains = -(-depth // CHAIN)
        places = [round(depth * chain / chains) for chain in range(1, chains + 1)]

        def nearest(place: int) -> int:
            found = min(self.exits, key=lambda exit: abs(exit - place))
            return found if abs(found - place) <= 1 else place

        return sorted({nearest(place) for place in places})

    def pair(self, x: Tensor, h: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """The bijection of the streams: (x, h) before the group to (x, h) after it."""
        for module, coupling in self._steps():
            x, h = coupling(partial(_with, module, context), x, h)
        return x, h

    def inverse(self, x: Tensor, h: Tensor, context: Any = None) -> tuple[Tensor, Tensor]:
        """Undo :meth:`pair`."""
        for module, coupling in reversed(self._steps()):
            x, h = coupling.inverse(partial(_with, module, context), x, h)
        return x, h

    def mixing_weights(self) -> list[Tensor]:
        """v of every module."""
        return [coupling.v for _, coupling in self._steps()]

    def _steps(self) -> list[tuple[nn.Module, Coupling]]:
        return list(zip(self.modules_, cast(Iterable[Coupling], self.couplings), strict=True))


def _with(module: nn.Module, context: Any, x: Tensor) -> Tensor:
    return cast(Tensor, module(x, context))
