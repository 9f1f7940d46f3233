"""Conjugate gradients for a batch of symmetric positive semi-definite systems (Hestenes & Stiefel, 1952)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


class Solution(NamedTuple):
    """The solution of a linear system and how it was reached.

    Attributes:
        x: the solution, shape (B, ...).
        iterations: 0 for a closed form.
        residual: largest ``|b - N x| / |b|`` over the batch, where ``b = A^T y`` and ``N = A^T A`` for a
            pseudo-inverse; 0 for a closed form.
        converged: whether the residual reached the tolerance.

    Example:
        >>> found = conjugate_gradient(lambda x: 2 * x, torch.ones(1, 3))
        >>> found.x, found.iterations, found.converged
        (tensor([[0.5000, 0.5000, 0.5000]]), 1, True)
    """

    x: Tensor
    iterations: int
    residual: float
    converged: bool


def conjugate_gradient(
    normal: Callable[[Tensor], Tensor],
    b: Tensor,
    *,
    tolerance: float = 1e-5,
    max_iterations: int = 200,
    precondition: Callable[[Tensor], Tensor] = lambda r: r,
    progress: Callable[[int, int], None] = lambda done, most: None,
) -> Solution:
    """Solve ``N x = b`` for every sample of the batch, from ``x = 0``.

    With ``N = A^T A`` and ``b = A^T y`` the result is the minimum-norm least-squares solution; with
    ``N = A^T A + w R`` it is the regularised one. The samples share the iterations but no scalar,
    and a sample that has converged stays as it is. The derivative is taken through the iterations.

    Args:
        normal: N, self-adjoint for ``Re <a, b>`` and positive semi-definite, acting on each sample.
        b: right-hand sides (B, ...), real or complex.
        tolerance: on ``|b - N x| / |b|``.
        max_iterations: where to stop otherwise.
        precondition: a map near ``N^-1``, self-adjoint and positive definite; the nearer, the fewer iterations.
        progress: told the iterations done, and how many there are at most.

    Returns:
        x with the status; the residual comes from the recurrence. A zero right-hand side has x = 0, residual 0.
    """
    x, r, p = torch.zeros_like(b), b, precondition(b)
    rr = bb = _dot(r, r)
    rz = _dot(r, p)
    target = tolerance**2 * bb
    iterations = 0
    active = rr > target
    while iterations < max_iterations and bool(active.any()):
        n_p = normal(p)
        curvature = _dot(p, n_p)
        active = active & (curvature > 0)  # p in the null space: nothing more to gain
        if not bool(active.any()):
            break
        alpha = torch.where(active, rz / torch.where(active, curvature, 1), 0)
        x = x + alpha * p
        r = r - alpha * n_p
        z = precondition(r)
        rz_next = torch.where(active, _dot(r, z), rz)
        beta = torch.where(active, rz_next / torch.where(active, rz, 1), 0)
        p = torch.where(active, z + beta * p, p)
        rz, rr = rz_next, torch.where(active, _dot(r, r), rr)
        iterations += 1
        progress(iterations, max_iterations)
        active = active & (rr > target)
    relative = torch.sqrt(rr.detach() / torch.where(bb > 0, bb, 1).detach())
    residual = float(relative.max()) if relative.numel() else 0.0
    return Solution(x, iterations, residual, residual <= tolerance)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """``Re <a, b>`` of each sample, shaped to broadcast over it."""
    product = (a.conj() * b).real if a.is_complex() else a * b
    return product.flatten(1).sum(1).view(-1, *[1] * (a.ndim - 1))
