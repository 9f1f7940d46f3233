"""Finite differences of images, with their exact adjoints."""

from __future__ import annotations

import torch
from torch import Tensor


def gradient(x: Tensor) -> Tensor:
    """Forward differences, (..., H, W) to (2, ..., H, W); zero across the last row and column."""
    g = x.new_zeros(2, *x.shape)
    g[0, ..., :-1, :] = x[..., 1:, :] - x[..., :-1, :]
    g[1, ..., :, :-1] = x[..., :, 1:] - x[..., :, :-1]
    return g


def gradient_adjoint(g: Tensor) -> Tensor:
    """The adjoint of :func:`gradient` (minus the divergence), (2, ..., H, W) to (..., H, W)."""
    x = torch.zeros_like(g[0])
    x[..., 1:, :] += g[0, ..., :-1, :]
    x[..., :-1, :] -= g[0, ..., :-1, :]
    x[..., :, 1:] += g[1, ..., :, :-1]
    x[..., :, :-1] -= g[1, ..., :, :-1]
    return x


def laplacian(x: Tensor) -> Tensor:
    """``D^T D x`` with free ends: symmetric, positive semi-definite, zero on constants; same shape."""
    return gradient_adjoint(gradient(x))
