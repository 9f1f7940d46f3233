"""An operator to first order around images."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import NamedTuple

import torch
from torch import Tensor

from idmcli.numerics.linear_map import no_autocast


class Linearisation(NamedTuple):
    """``A(x + u) ~ A(x) + J u`` for small u, with the Jacobian J of A at images x.

    Attributes:
        value: A(x), (B, \\*measurement_shape).
        jvp: makes ``J u``, like measurements, of u like images.
        vjp: makes ``J^T v``, like images, of v like measurements.
    """

    value: Tensor
    jvp: Callable[[Tensor], Tensor]
    vjp: Callable[[Tensor], Tensor]


def differentiated(A: Callable[[Tensor], Tensor], x: Tensor) -> Linearisation:
    """The linearisation of a map A at x by automatic differentiation. A is computed once for all products."""
    with torch.enable_grad():
        at = x.detach().requires_grad_()
        y = A(at)

    @cache
    def transposed() -> tuple[Tensor, Tensor]:
        """A variable v, and ``J^T v``, whose derivative in v is J."""
        v = torch.zeros_like(y, requires_grad=True)
        return v, _pulled_back(y, at, v, create_graph=True)

    def jvp(u: Tensor) -> Tensor:
        v, product = transposed()
        return _pulled_back(product, v, u)

    return Linearisation(y.detach(), jvp, lambda v: _pulled_back(y, at, v))


def _pulled_back(y: Tensor, x: Tensor, v: Tensor, *, create_graph: bool = False) -> Tensor:
    """``J^T v`` with the Jacobian J of y in x, whose graph is kept; in the precision of v under autocast."""
    with no_autocast(v):
        (product,) = torch.autograd.grad(y, x, v, retain_graph=True, create_graph=create_graph)
    return product
