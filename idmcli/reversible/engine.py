"""Gradients without stored activations: modules run again in the backward pass.

``_Recompute`` stores the input of one module, ``_Reverse`` the ends of a reversible group, in which the inputs of the
modules follow by inversion (Eq. 5). Inversion loses a bit or so with each module, so that it runs over chains of a few
modules, from streams that were kept (:func:`idmcli.reversible.snapshots.keeps_all`) or are made again from the
group's input. Both take parameters and context tensors as explicit inputs and return their gradients, so that whatever
works on a graph of plain functions (accumulation, scaling, hooks, ``torch.autograd.grad``) works on theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from idmcli.errors import NumericalError
from idmcli.reversible.local import LocalGradients, Rebuild, flatten, in_slices, slices_of, sum_lists
from idmcli.reversible.mix import mix
from idmcli.reversible.snapshots import keeps_all, remade

if TYPE_CHECKING:
    from idmcli.reversible.coupling import ReversibleGroup

Memory = Literal["plain", "checkpoint", "reversible"]
"""A network keeps these for its backward pass: everything, the input of every module, or group boundaries."""

DRIFT_LIMIT = 1e-3
HALF_DRIFT_LIMIT = 5e-2  # modules in half precision round what they give by up to 4e-3; plain gradients lose as much


def run(module: nn.Module, x: Tensor, context: Any, memory: Memory) -> Tensor:
    """``module(x, context)``; what is kept of it for the backward pass is up to ``memory``.

    Args:
        module: maps a tensor to a tensor, without randomness. If it has a true attribute ``samplewise``,
            it treats the samples of a batch one by one, and its backward pass may run on slices.
        x: (B, ...).
        context: see :func:`flatten`.
        memory: "plain" keeps all that autograd wants, the others only the input.

    Returns:
        The module's output.

    Raises:
        RuntimeError: the module changes its buffers, and the backward pass would run it again.
    """
    if memory == "plain" or not torch.is_grad_enabled():
        return cast(Tensor, module(x, context))
    if memory == "checkpoint":
        with unchanged(module):
            return cast(Tensor, checkpoint(module, x, context, use_reentrant=False))
    tensors, rebuild = flatten(context)
    inputs = (x, *tensors, *module.parameters())
    return cast(Tensor, _Recompute.apply(module, rebuild, len(tensors), *inputs))  # type: ignore[no-untyped-call]


def reverse(group: ReversibleGroup, x: Tensor, context: Any) -> list[Tensor]:
    """The exits of ``group(x, context)``, keeping no more than two pairs of streams and the context.

    Raises:
        RuntimeError: a module draws random numbers or changes its buffers.
        NumericalError: in the backward pass, if inversion loses the input of the group.
    """
    tensors, rebuild = flatten(context)
    values = [group.open_scale, group.close_scale, *group.mixing_weights()]
    values += [parameter for module in group.modules_ for parameter in module.parameters()]
    return list(_Reverse.apply(group, rebuild, len(tensors), x, *tensors, *values))  # type: ignore[no-untyped-call]


class _Recompute(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, module: nn.Module, rebuild: Rebuild, count: int, x: Tensor, *tensors: Tensor) -> Tensor:
        ctx.module, ctx.rebuild, ctx.count, ctx.autocast = module, rebuild, count, _autocast_of(x)
        ctx.save_for_backward(x, *tensors)
        with unchanged(module):
            return in_slices(module, x, rebuild(iter(tensors[:count])))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        x, *tensors = ctx.saved_tensors
        local = LocalGradients(
            ctx.module, ctx.rebuild, tensors[: ctx.count], tensors[ctx.count :], ctx.needs_input_grad[4:]
        )
        grad_x = torch.empty_like(x)
        with ctx.autocast():
            for part in slices_of(ctx.module, x):
                grad_x[part] = local.pull_back(x[part], part, grad[part])[1]
        return (None, None, None, grad_x, *local.context_gradients(), *local.gradients)


class _Reverse(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, group: ReversibleGroup, rebuild: Rebuild, count: int, x: Tensor, *tensors: Tensor
    ) -> tuple[Tensor, ...]:
        ctx.group, ctx.rebuild, ctx.count, ctx.autocast = group, rebuild, count, _autocast_of(x)
        ctx.limit = HALF_DRIFT_LIMIT if torch.is_autocast_enabled(x.device.type) else DRIFT_LIMIT
        ctx.set_materialize_grads(False)
        context, anchors = rebuild(iter(tensors[:count])), group.anchors()
        exits: list[Tensor] = []
        kept: list[Tensor] = []
        if not keeps_all(anchors):
            kept, anchors = [x], anchors[-1:]
        before = _random_state(x)
        with unchanged(group):
            for number, x, h in group.walk(x, lambda module, x: in_slices(module, x, context)):
                if number in group.exits:
                    exits.append(x := group.leave(number, x, h))
                if number in anchors:
                    kept += [x, h]
        if _random_state(x) != before:
            raise RuntimeError(
                "a module of a reversible group drew random numbers, which its backward pass could not repeat: "
                "take dropout out of the group or use the memory plan plain or checkpoint"
            )
        ctx.save_for_backward(*kept, *tensors)
        return tuple(exits)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Any, ...]:
        group: ReversibleGroup = ctx.group
        depth, anchors = len(group.modules_), group.anchors()
        all_kept = keeps_all(anchors)
        size = 2 * len(anchors) if all_kept else 3
        every = list(ctx.saved_tensors)  # asked for once: a checkpoint around the group gives them once
        kept, saved = every[:size], every[size:]
        tensors, (open_scale, close_scale, *values) = saved[: ctx.count], saved[ctx.count :]
        weights, values = values[:depth], values[depth:]
        needed = ctx.needs_input_grad[4:]
        needed_values = needed[ctx.count + 2 + depth :]
        close = close_scale.reshape(-1)
        locals_ = []
        for module in group.modules_:
            size = len(list(module.parameters()))
            wanted = (*needed[: ctx.count], *needed_values[:size])
            locals_.append(LocalGradients(module, ctx.rebuild, tensors, values[:size], wanted))
            values, needed_values = values[size:], needed_values[size:]

        def known(number: int, x: Tensor, h: Tensor) -> tuple[Tensor, Tensor]:
            """The streams after a module, from what was kept: after an exit, what that gave out."""
            if number in group.exits:
                x = torch.addcmul(x, h, close[group.exits.index(number)], value=-1)
            return x, h

        def advance(streams: tuple[Tensor, Tensor], start: int, end: int) -> tuple[Tensor, Tensor]:
            """The streams after the last of some chains, from those before the first."""
            x, h = streams
            with ctx.autocast():
                for index in range([0, *anchors][start], anchors[end - 1]):
                    x, h = mix(h, locals_[index].output(x).to(h.dtype), weights[index]), x
            return x, h

        def anchored() -> Iterator[tuple[Tensor, Tensor]]:
            """The streams after each chain, the last first."""
            if not all_kept:
                x, x_end, h_end = kept
                yield known(depth, x_end, h_end)
                yield from remade(advance, (x, open_scale * x), len(anchors) - 1)
                return
            for number in reversed(anchors):
                *kept[:], x, h = kept
                yield known(number, x, h)

        # The streams and their gradients live in four buffers of our own, updated in place.
        x = h = torch.empty(0)
        grad_x, grad_h = torch.zeros_like(kept[-1]), torch.zeros_like(kept[-1])
        grad_weights: list[Tensor] = [None] * depth  # type: ignore[list-item]
        grad_close = torch.zeros_like(close)
        context: list[Tensor | None] = [None] * ctx.count
        streams = anchored()
        for index in reversed(range(depth)):
            number = index + 1
            if number in anchors:
                known_x, known_h = next(streams)
                if number < depth:
                    check_drift(group, (x, h), (known_x, known_h), ctx.limit)
                x, h = known_x.clone(), known_h.clone()
            if number in group.exits:
                exit = group.exits.index(number)
                grad = grads[exit]
                if grad is not None:
                    grad_x.add_(grad)
                    grad_h.addcmul_(grad, close[exit])
                    grad_close[exit] = (grad * h).sum()
            v, grad_v = weights[index], torch.zeros_like(weights[index])
            for part in slices_of(group.modules_[index], h):
                with ctx.autocast():
                    out, grad_in = locals_[index].pull_back(h[part], part, (1 - v) * grad_x[part])
                out = out.to(x.dtype)
                x[part].addcmul_(out, 1 - v, value=-1).div_(v)  # Eq. 5
                grad_v += (grad_x[part] * (x[part] - out)).sum()
                grad_h[part].add_(grad_in)
            grad_weights[index] = grad_v
            context = sum_lists([context, locals_[index].context_gradients()])
            x, h = h, x
            grad_x, grad_h = grad_h, grad_x.mul_(v)
        check_drift(group, (h,), (open_scale * x,), ctx.limit)
        grad_open = (grad_h * x).sum()
        grad_x.addcmul_(grad_h, open_scale)
        gradients = [gradient for local in locals_ for gradient in local.gradients]
        return (
            *(None, None, None, grad_x, *context),
            *(grad_open.reshape(open_scale.shape), grad_close.reshape(close_scale.shape)),
            *(*grad_weights, *gradients),
        )


@contextmanager
def unchanged(module: nn.Module) -> Iterator[None]:
    """Watch a module that will run again in the backward pass.

    Raises:
        RuntimeError: at the end of the block, if it has changed its buffers, running statistics for example.
    """
    before = {name: (id(buffer), buffer._version) for name, buffer in module.named_buffers()}
    yield
    for name, buffer in module.named_buffers():
        if before.get(name) != (id(buffer), buffer._version):
            raise RuntimeError(
                f"a module changed its buffer {name!r}, and the backward pass, which runs it again, would change it "
                "once more: use the memory plan plain, or a module without running statistics"
            )


def check_drift(group: ReversibleGroup, found: tuple[Tensor, ...], known: tuple[Tensor, ...], limit: float) -> None:
    """Compare streams from inversion with what they must be, to a relative ``limit``."""
    drift = max(float((a - b).norm() / b.norm().clamp_min(1e-30)) for a, b in zip(found, known, strict=True))
    if not drift <= limit:
        weights = ", ".join(f"{float(v):.2g}" for v in group.mixing_weights())
        raise NumericalError(
            f"inverting a reversible group lost its input: relative drift {drift:.1e}, "
            f"allowed {limit:.0e}; its mixing weights are {weights}",
            'use the memory plan "checkpoint", or start from mixing weights nearer to 0.5',
        )


def _random_state(x: Tensor) -> bytes:
    states = [torch.get_rng_state()] + ([torch.cuda.get_rng_state(x.device)] if x.is_cuda else [])
    return b"".join(state.numpy().tobytes() for state in states)


def _autocast_of(x: Tensor) -> Callable[[], AbstractContextManager[Any]]:
    """Autocast as it is now, for the backward pass."""
    kind = x.device.type
    enabled, dtype = torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)
    return lambda: torch.autocast(kind, dtype, enabled)
