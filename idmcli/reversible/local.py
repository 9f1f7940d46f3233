"""One module differentiated on its own, slice by slice of the batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

Rebuild = Callable[[Iterator[Tensor]], Any]

SLICE = 2**20  # stream values per slice of a batch: enough to fill a device, few enough to keep temporaries small
WHOLE = slice(None)


def flatten(context: Any) -> tuple[list[Tensor], Rebuild]:
    """The tensors in a context, and how to put others in their place.

    A context is a tensor, a tuple (named or not) of contexts, or anything else, which then holds no tensors.
    """
    if isinstance(context, Tensor):
        return [context], next
    if not isinstance(context, tuple):
        return [], lambda tensors: context
    parts = [flatten(item) for item in context]
    rebuilds = [rebuild for _, rebuild in parts]
    make = getattr(type(context), "_make", tuple)  # of a named tuple
    return [t for found, _ in parts for t in found], lambda tensors: make([rebuild(tensors) for rebuild in rebuilds])


def slices_of(module: nn.Module, x: Tensor) -> list[slice]:
    """How the batch is cut for a module: not at all, unless it treats the samples one by one."""
    size = max(1, SLICE * len(x) // max(1, x.numel()))
    if size >= len(x) or not getattr(module, "samplewise", False):
        return [WHOLE]
    return [slice(start, start + size) for start in range(0, len(x), size)]


def in_slices(module: nn.Module, x: Tensor, context: Any, call: Callable[[Tensor, Any], Any] | None = None) -> Tensor:
    """``module(x, context)`` on the slices of the backward pass: other sizes would round in other ways.

    Args:
        module: decides about the slices.
        x: (B, ...).
        context: see :func:`flatten`.
        call: what runs the module; itself if None.

    Returns:
        Its output for the whole batch.
    """
    tensors, rebuild = flatten(context)
    call = call or module
    outs = [
        call(x[part], rebuild(iter(tensors if part == WHOLE else [tensor[part] for tensor in tensors])))
        for part in slices_of(module, x)
    ]
    return outs[0] if len(outs) == 1 else torch.cat(outs)


class LocalGradients:
    """One module's gradients, accumulated over the slices of a batch.

    Args:
        module: what is differentiated.
        rebuild: makes the context of ``tensors``.
        tensors: of the context.
        values: to use as the module's parameters.
        wanted: for each of ``tensors`` and ``values``, whether its gradient is wanted.
    """

    def __init__(
        self,
        module: nn.Module,
        rebuild: Rebuild,
        tensors: Sequence[Tensor],
        values: Sequence[Tensor],
        wanted: Sequence[bool],
    ) -> None:
        self.module, self.rebuild, self.tensors, self.values = module, rebuild, tensors, values
        self.wanted = wanted
        self.names = [name for name, _ in module.named_parameters()]
        self.gradients: list[Tensor | None] = [None] * len(values)
        self._context: list[list[Tensor | None]] = []

    def output(self, x: Tensor) -> Tensor:
        """The module's output on the whole batch, as in the forward pass."""
        named, tensors = dict(zip(self.names, self.values, strict=True)), self.tensors

        def call(x: Tensor, context: Any) -> Any:
            return functional_call(self.module, named, (x, context))

        return in_slices(self.module, x, self.rebuild(iter(tensors)), call)

    def pull_back(self, x: Tensor, part: slice, cotangent: Tensor) -> tuple[Tensor, Tensor]:
        """The module's output on a slice x of the batch, and the gradient of x."""
        x, tensors = x.detach().requires_grad_(), self.tensors
        if part != WHOLE:
            tensors = [tensor[part] for tensor in tensors]
        flags = iter(self.wanted)
        tensors = [tensor.detach().requires_grad_(next(flags)) for tensor in tensors]
        values = [value.detach().requires_grad_(next(flags)) for value in self.values]
        with torch.enable_grad():
            named = dict(zip(self.names, values, strict=True))
            out = functional_call(self.module, named, (x, self.rebuild(iter(tensors))))
        inputs = [x, *tensors, *values]
        sought = [tensor for tensor in inputs if tensor.requires_grad]
        found = iter(torch.autograd.grad(out, sought, cotangent.to(out.dtype), allow_unused=True))
        grad_x, *rest = [next(found) if tensor.requires_grad else None for tensor in inputs]
        self._context.append(rest[: len(tensors)])
        self.gradients = [_sum(*pair) for pair in zip(self.gradients, rest[len(tensors) :], strict=True)]
        return out.detach(), torch.zeros_like(x) if grad_x is None else grad_x

    def context_gradients(self) -> list[Tensor | None]:
        """The gradients of the context's tensors, over the whole batch; they are not kept here."""
        columns = [[part for part in column if part is not None] for column in zip(*self._context, strict=True)]
        self._context.clear()
        return [(torch.cat(parts) if len(parts) > 1 else parts[0]) if parts else None for parts in columns]


def _sum(a: Tensor | None, b: Tensor | None) -> Tensor | None:
    """Never in place: either may be a view of something else."""
    if a is None or b is None:
        return b if a is None else a
    return a + b


def sum_lists(lists: Sequence[Sequence[Tensor | None]]) -> list[Tensor | None]:
    """The sums of corresponding gradients; None stands for zero."""
    total = list(lists[0])
    for others in lists[1:]:
        total = [_sum(*pair) for pair in zip(total, others, strict=True)]
    return total
