"""Muon for convolutions: momentum whose matrices are orthogonalised (Jordan et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def orthogonalise(matrices: Tensor, iterations: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrices, approximately: quintic Newton-Schulz on each (m, n) matrix X of a stack.

    Every iterate is ``P X`` with P a polynomial in the Gram matrix ``G = X X^T``, so the iteration
    runs on the small side only, and so does the division by the norm of X. The singular values land within about
    0.7 .. 1.2, which is all that the optimiser needs.

    Args:
        matrices: (..., m, n).
        iterations: of Newton-Schulz.
    """
    tall = matrices.shape[-2] > matrices.shape[-1]
    wide = matrices.mT if tall else matrices
    gram = wide @ wide.mT
    norm = gram.diagonal(dim1=-2, dim2=-1).sum(-1).sqrt()[..., None, None] + 1e-9
    gram = gram / norm**2
    product = polynomial = _quintic(gram)
    for _ in range(iterations - 1):
        gram = polynomial @ gram @ polynomial
        polynomial = _quintic(gram)
        product = polynomial @ product
    result = (product / norm) @ wide
    return result.mT if tall else result


def _quintic(gram: Tensor) -> Tensor:
    """P(G) = 3.4445 I - 4.7750 G + 2.0315 G^2."""
    polynomial = (2.0315 * gram) @ gram - 4.7750 * gram
    polynomial.diagonal(dim1=-2, dim2=-1).add_(3.4445)
    return polynomial


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised per weight matrix; (out, in, kh, kw) counts as (out, in kh kw).

    After two minutes of training a prior on two cores it was 1.2 dB ahead of AdamW (at sigma 0.1;
    ``idm study prior`` compares them). torch's own Muon takes two-dimensional weights only, one after the other; here
    matrices of one shape are orthogonalised together.

    Args:
        params: weights of two or more dimensions.
        lr: step length, in units of an orthogonal matrix.
        momentum: decay of the gradient average.
    """

    def __init__(self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for weight in group["params"]:
                if weight.grad is not None:
                    by_shape.setdefault(weight.shape, []).append(weight)
            for weights in by_shape.values():
                directions = orthogonalise(
                    torch.stack([self._direction(weight, group["momentum"]) for weight in weights])
                )
                for weight, direction in zip(weights, directions, strict=True):
                    moved = weight.movedim(1, -1)
                    moved.sub_(direction.reshape(moved.shape), alpha=group["lr"])

    def _direction(self, weight: Tensor, decay: float) -> Tensor:
        """The matrix that is orthogonalised for a weight, input channels last, as they are in memory.

        The order of its columns makes no difference.
        """
        state, gradient = self.state[weight], weight.grad
        assert gradient is not None
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(weight)
        average = state["momentum"].lerp_(gradient, 1 - decay)
        return gradient.lerp(average, decay).movedim(1, -1).flatten(1)
