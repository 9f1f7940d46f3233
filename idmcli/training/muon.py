"""Muon for convolutions: momentum whose matrices are orthogonalised (Jordan et al., 2024)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer


def orthogonalise(matrix: Tensor, iterations: int = 5) -> Tensor:
    """Nearest semi-orthogonal matrix, approximately: quintic Newton-Schulz on an (m, n) matrix X.

    Every iterate is ``P X`` with P a polynomial in the Gram matrix ``G = X X^T``, so the iteration
    runs on the small side only. The singular values land within about 0.7 .. 1.2, which is all that
    the optimiser needs.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    wide = wide / (wide.norm() + 1e-9)
    gram = wide @ wide.T
    identity = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    product = identity
    for _ in range(iterations):
        polynomial = 3.4445 * identity - 4.7750 * gram + 2.0315 * gram @ gram
        product = polynomial @ product
        gram = polynomial @ gram @ polynomial
    result: Tensor = product @ wide
    return result if matrix.shape[0] <= matrix.shape[1] else result.T


class Muon(Optimizer):
    """Nesterov momentum, orthogonalised per weight matrix; (out, in, kh, kw) counts as (out, in kh kw).

    After two minutes of training a prior on two cores it was 1.2 dB ahead of AdamW (at sigma 0.1, see
    benchmarks/prior_variants.py). torch's own Muon takes two-dimensional weights only.

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
            decay = group["momentum"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self.state[weight]
                if "momentum" not in state:
                    state["momentum"] = torch.zeros_like(weight)
                average = state["momentum"].lerp_(weight.grad, 1 - decay)
                direction = orthogonalise(weight.grad.lerp(average, decay).flatten(1))
                weight.sub_(direction.view_as(weight), alpha=group["lr"])
