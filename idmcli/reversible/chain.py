"""Modules one after the other: what a reversible group is without its couplings."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from idmcli.reversible.engine import Memory, run


class Chain(nn.Module):
    """A run of modules, called like the modules of a :class:`~idmcli.reversible.coupling.ReversibleGroup`.

    It cannot be inverted: for the backward pass the memory "checkpoint" and "reversible" keep the input of every
    module.

    Args:
        modules: each is called as ``module(x, context)``.
    """

    def __init__(self, modules: Iterable[nn.Module]) -> None:
        super().__init__()
        self.modules_ = nn.ModuleList(modules)

    def forward(self, x: Tensor, context: Any = None, memory: Memory = "plain") -> list[Tensor]:
        """The one tensor at the end, (B, ...) like x; ``memory`` says what is kept, and changes no value."""
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # as in a group, the stream is never in half precision
        for module in self.modules_:
            x = run(module, x, context, memory)
        return [x]
