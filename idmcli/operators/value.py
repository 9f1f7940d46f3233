"""Modules that are values: to move or to convert one makes a copy."""

from __future__ import annotations

import copy
from functools import cached_property
from typing import Any, Self, TypeVar, cast

import torch
from torch import Tensor, nn

M = TypeVar("M", bound=nn.Module)


class Value(nn.Module):
    """A module that stays as it is: :meth:`to` and its relatives give copies, whose parts are copies too.

    A ``functools.cached_property`` holds a result that a value computes once from its tensors. A copy computes it again
    if a tensor has changed.

    Example:
        >>> class Table(Value):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.register_buffer("row", torch.ones(3), persistent=False)
        ...
        ...     @cached_property
        ...     def total(self):
        ...         return self.row.sum()
        >>> table = Table()
        >>> table.double().total, table.total
        (tensor(3., dtype=torch.float64), tensor(3.))
    """

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy on another device or in another precision, by the arguments of ``Tensor.to``.

        Integers keep their type, and complex numbers stay complex: a precision applies to their two parts.
        """
        nn.Module().to(*args, **kwargs)  # says what is wrong with the arguments
        copy = self._copy()
        copy._apply(lambda t: _converted(t, *args, **kwargs))  # type: ignore[no-untyped-call]
        return self._moved(copy)

    def double(self) -> Self:
        """A copy whose real tensors are in double precision."""
        return self._moved(nn.Module.double(self._copy()))

    def float(self) -> Self:
        """A copy whose real tensors are in single precision."""
        return self._moved(nn.Module.float(self._copy()))

    def cpu(self) -> Self:
        """A copy in the memory of the CPU."""
        return self._moved(nn.Module.cpu(self._copy()))

    def cuda(self, device: int | torch.device | None = None) -> Self:
        """A copy on a CUDA device."""
        return self._moved(nn.Module.cuda(self._copy(), device))

    def _copy(self) -> Self:
        """Another value with the same tensors, and nothing computed from them yet."""
        return _copied(self, {})

    def _moved(self, copy: Self) -> Self:
        """A moved copy, with the computed results of those parts whose tensors the move left alone."""
        for own, other in zip(self.modules(), copy.modules(), strict=True):
            if all(one is moved for one, moved in zip(_tensors(own), _tensors(other), strict=True)):
                vars(other).update(_computed(own))
        return copy


def _copied(module: M, done: dict[int, nn.Module]) -> M:
    """Another module with the same tensors, also in its parts. A module that is a part twice is copied once."""
    if id(module) in done:
        return cast(M, done[id(module)])
    done[id(module)] = other = copy.copy(module)
    computed = _computed(module)
    other.__dict__ = {name: value for name, value in vars(module).items() if name not in computed}
    other._buffers = dict(module._buffers)
    other._parameters = {
        name: None if parameter is None else nn.Parameter(parameter.detach(), parameter.requires_grad)
        for name, parameter in module._parameters.items()
    }
    other._modules = {name: None if part is None else _copied(part, done) for name, part in module._modules.items()}
    return other


def _converted(t: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    if t.is_floating_point():
        return t.to(*args, **kwargs)
    like = t.new_empty(0, dtype=t.dtype.to_real() if t.is_complex() else torch.float32).to(*args, **kwargs)
    return t.to(like.device, like.dtype.to_complex() if t.is_complex() else t.dtype)


def _computed(module: nn.Module) -> dict[str, Any]:
    """The cached properties that have a value."""
    known = vars(module)
    return {name: known[name] for name in known if isinstance(getattr(type(module), name, None), cached_property)}


def _tensors(module: nn.Module) -> list[Tensor]:
    """The tensors that cached properties may depend on; parameters of a copy are always others."""
    named = [*module.named_buffers(remove_duplicate=False), *module.named_parameters(remove_duplicate=False)]
    return [tensor for _, tensor in named]
