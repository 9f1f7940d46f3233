"""Reconstruction without learning: back-projection, Tikhonov, total variation."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from idmcli.operators.base import LinearOperator
from idmcli.operators.conjugate_gradient import conjugate_gradient

TIKHONOV_WEIGHT = 0.005
TIKHONOV_NOISE = 20.0
TIKHONOV_ITERATIONS = 30
TV_PRIMAL_STEP = 0.05
TV_ITERATIONS = 200
TV_FIDELITY, TV_NOISE = 1e-3, 0.5


def back_projection(operator: LinearOperator, y: Tensor) -> Tensor:
    """``A+ y``, (B, C, H, W)."""
    return operator.pinv(y)


def tikhonov(operator: LinearOperator, y: Tensor, *, noise: float = 0.0) -> Tensor:
    """``argmin |A x - y|^2 + w |D x|^2`` (regulariser: the Laplacian D^T D), by 30 conjugate-gradient iterations.

    The weight w is 0.005 |A|^2 plus 20 times the noise variance: differences of neighbours vary by about 1/20.
    """
    weight = TIKHONOV_WEIGHT * squared_norm(operator, y) + TIKHONOV_NOISE * noise**2

    def system(x: Tensor) -> Tensor:
        return operator.normal(x) + weight * laplacian(x)

    return conjugate_gradient(system, operator.AT(y), max_iterations=TIKHONOV_ITERATIONS).x


@torch.no_grad()
def total_variation(operator: LinearOperator, y: Tensor, *, noise: float = 0.0) -> Tensor:
    """``argmin TV(x) + |A x - y|^2 / (2 w)`` by primal-dual steps (Chambolle & Pock, 2011), from Tikhonov's image.

    TV is isotropic. Without noise w is so small that the measurements are met; it grows by half the noise, seen in
    the image (noise / |A|).
    """
    power = squared_norm(operator, y)
    w = TV_FIDELITY * power + TV_NOISE * noise * math.sqrt(power)
    dual_step = 1 / (8 * TV_PRIMAL_STEP)
    x = tikhonov(operator, y, noise=noise)
    dual = torch.zeros_like(gradient(x))
    for _ in range(TV_ITERATIONS):
        following = fit_measurements(operator, y, x - TV_PRIMAL_STEP * gradient_adjoint(dual), TV_PRIMAL_STEP / w)
        dual = dual + dual_step * gradient(2 * following - x)
        dual = dual / dual.abs().square().sum(0).sqrt().clamp_min(1)
        x = following
    return x


def fit_measurements(operator: LinearOperator, y: Tensor, z: Tensor, rho: float) -> Tensor:
    """``argmin |x - z|^2 + rho |A x - y|^2``: closed form for a tight A, else ten conjugate-gradient iterations."""
    pull = rho * operator.AT(y - operator.A(z))
    if operator.tight:
        return z + pull / (1 + rho)
    return z + conjugate_gradient(lambda d: d + rho * operator.normal(d), pull, max_iterations=10).x


def gradient(x: Tensor) -> Tensor:
    """Forward differences, (..., H, W) to (2, ..., H, W); zero across the last row and column."""
    g = x.new_zeros(2, *x.shape)
    g[0, ..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    g[1, ..., :, :-1] = x[..., :, 1:] - x[..., :, :-1]
    return g


def gradient_adjoint(g: Tensor) -> Tensor:
    """The adjoint of :func:`gradient` (minus the divergence)."""
    x = torch.zeros_like(g[0])
    x[..., 1:, :] += g[0, ..., :-1, :]
    x[..., :-1, :] -= g[0, ..., :-1, :]
    x[..., :, 1:] += g[1, ..., :, :-1]
    x[..., :, :-1] -= g[1, ..., :, :-1]
    return x


def laplacian(x: Tensor) -> Tensor:
    """``D^T D x`` with free ends: symmetric, positive semi-definite, zero on constants."""
    return gradient_adjoint(gradient(x))


@torch.no_grad()
def squared_norm(operator: LinearOperator, y: Tensor, iterations: int = 20) -> float:
    """``|A|^2``: 1 for a tight operator, otherwise power iteration on ``A^T A`` from ``A^T y`` (from below)."""
    if operator.padded().tight:
        return 1.0
    x = operator.AT(y[:1])
    for _ in range(iterations):
        x = operator.normal(x / x.norm().clamp_min(torch.finfo(x.real.dtype).tiny))
    return float(x.norm()) or 1.0
