"""A check for anyone who builds a reversible group of their own."""

from __future__ import annotations

from copy import deepcopy
from typing import Any, NamedTuple

import torch
from torch import Tensor

from idmcli.reversible.coupling import ReversibleGroup


class Deviations(NamedTuple):
    """Relative errors, each ``|a - b| / |b|`` of all values together.

    Attributes:
        inverse: of the streams that the inverse makes of the streams' images.
        output: of the reversible pass against plain autograd.
        gradient: of all gradients (input, context, parameters) together.
        worst_gradient: of the worst of them.
        worst: its name.
    """

    inverse: float
    output: float
    gradient: float
    worst_gradient: float
    worst: str


def check_reversible(group: ReversibleGroup, x: Tensor, context: Any = None) -> Deviations:
    """Compare a group's inverse with its input, and its reversible gradients with plain autograd.

    The loss is the inner product of the exits with fixed random tensors. A copy of the group runs, so that nothing is
    changed: no ``.grad``, no buffer.

    Args:
        group: the group.
        x: an input, (B, ...).
        context: what its modules read beside x; gradients are compared for those tensors that require one.

    Raises:
        NumericalError: inversion drifts beyond the engine's limit.
        RuntimeError: a module draws random numbers or changes its buffers.
    """
    from idmcli.reversible.engine import Memory
    from idmcli.reversible.local import flatten

    group = deepcopy(group)
    with torch.no_grad():
        start = (x, group.open_scale * x)
        back = group.inverse(*group.pair(*start, context), context)
    x = x.detach().requires_grad_()
    named = {name: parameter for name, parameter in group.named_parameters() if parameter.requires_grad}
    tensors = [tensor for tensor in flatten(context)[0] if tensor.requires_grad]
    names = ["x", *(f"context {index}" for index in range(len(tensors))), *named]

    def run(memory: Memory) -> tuple[list[Tensor], list[Tensor]]:
        exits = group(x, context, memory)
        generator = torch.Generator(x.device).manual_seed(0)
        weights = [torch.randn(e.shape, generator=generator, dtype=e.dtype, device=e.device) for e in exits]
        loss = torch.stack([(e * w).sum() for e, w in zip(exits, weights, strict=True)]).sum()
        inputs = [x, *tensors, *named.values()]
        found = torch.autograd.grad(loss, inputs, allow_unused=True)
        return exits, [torch.zeros_like(i) if g is None else g for g, i in zip(found, inputs, strict=True)]

    expected, found = run("plain"), run("reversible")
    each = {name: _error([a], [b]) for name, a, b in zip(names, found[1], expected[1], strict=True)}
    worst = max(each, key=lambda name: each[name])
    return Deviations(
        inverse=_error(back, start),
        output=_error(found[0], expected[0]),
        gradient=_error(found[1], expected[1]),
        worst_gradient=each[worst],
        worst=worst,
    )


def _error(found: list[Tensor] | tuple[Tensor, ...], expected: list[Tensor] | tuple[Tensor, ...]) -> float:
    difference = sum(float((a - b).detach().double().square().sum()) for a, b in zip(found, expected, strict=True))
    size = sum(float(b.detach().double().square().sum()) for b in expected)
    return float((difference / size) ** 0.5) if size else float(difference > 0)
