"""Harmonic extension: the smoothest surface through known pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, interpolate

from idmcli.numerics.conjugate_gradient import conjugate_gradient
from idmcli.numerics.differences import laplacian

ITERATIONS = 20  # of conjugate gradients on each scale


def harmonic_extension(x: Tensor, known: Tensor) -> Tensor:
    """Fill lost pixels with ``argmin |D u|^2`` under ``u = x`` where x is known, coarse scales first.

    Halving the picture until nothing is lost gives the start, and a few conjugate gradients on each scale the details
    (cascadic multigrid; Bornemann & Deuflhard, Numerische Mathematik 1996): the work is a multiple of the pixels,
    however large the holes are.

    Args:
        x: (B, C, H, W), real or complex; lost pixels may hold anything finite.
        known: (H, W), bool, True at one pixel at least.

    Returns:
        (B, C, H, W), equal to x where it is known.
    """
    if bool(known.all()):
        return x
    weight = known.to(x.real.dtype)
    lost = 1 - weight
    height, width = known.shape
    if x.is_complex():
        parts = harmonic_extension(torch.cat([x.real, x.imag]), known)
        return torch.complex(*parts.chunk(2))
    share = avg_pool2d(weight[None, None], 2, ceil_mode=True)
    coarse = avg_pool2d(x * weight, 2, ceil_mode=True) / share.clamp_min(torch.finfo(x.dtype).tiny)
    rough = interpolate(harmonic_extension(coarse, share[0, 0] > 0), scale_factor=2.0, mode="bilinear")
    u = x * weight + rough[..., :height, :width] * lost

    def system(change: Tensor) -> Tensor:
        return lost * laplacian(lost * change)

    change = conjugate_gradient(system, -lost * laplacian(u), max_iterations=ITERATIONS).x
    return u + lost * change
