"""A module that others call: its parameters as explicit inputs of theirs."""

from __future__ import annotations

from typing import NamedTuple, Self, cast

from torch import Tensor, nn
from torch.func import functional_call


class Explicit(NamedTuple):
    """A module as a function of its input and its parameters, to be put into a context.

    The engine gives gradients to what it sees: parameters of the modules that it runs, and tensors of the context. A
    module that these only call, such as a learned sampling in an injector, comes to it in this form. It is not for
    the contexts of modules that run on slices of a batch, by which their tensors are cut.

    Attributes:
        module: is called with one tensor.
        parameters: all of its parameters, in their order.
    """

    module: nn.Module
    parameters: tuple[Tensor, ...]

    @classmethod
    def of(cls, module: nn.Module) -> Self:
        """A module with the parameters that it has."""
        return cls(module, tuple(module.parameters()))

    def __call__(self, x: Tensor) -> Tensor:
        names = (name for name, _ in self.module.named_parameters())
        return cast(Tensor, functional_call(self.module, dict(zip(names, self.parameters, strict=True)), (x,)))
