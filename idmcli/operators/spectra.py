"""Singular value decompositions in closed form: of a Kronecker product, and of a circular convolution."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.numerics.linear_map import linear_map
from idmcli.operators.base import Spectrum

CUTOFF = 1e-3  # of the largest singular value: below it, single precision keeps less than four digits of A x


def sandwich(left: Tensor, x: Tensor, right: Tensor) -> Tensor:
    """``L X R^T`` for each image X of a batch (..., H, W)."""
    left, right = left.to(x), right.to(x)
    return linear_map(x, lambda x: left @ x @ right.T, lambda y: left.T @ y @ right)


def kronecker_spectrum(rows: Tensor, columns: Tensor, channels: int) -> Spectrum:
    """Of ``X -> R X C^T``: the products of the singular values of R and C, from two small decompositions.

    Args:
        rows: R, (H', H).
        columns: C, (W', W).
        channels: of the images, which are measured alike.
    """
    (u1, s1, v1), (u2, s2, v2) = (torch.linalg.svd(matrix) for matrix in (rows, columns))
    height, width = len(v1), len(v2)
    values = rows.new_zeros(height, width)
    values[: len(s1), : len(s2)] = torch.outer(s1, s2)
    known, order, back = _split(values)
    in_range = known // width * len(u2) + known % width  # the same pairs in the grid of y
    return Spectrum(
        values.flatten()[known].expand(channels, -1),
        lambda y: sandwich(u1.T, y, u2.T).flatten(2).index_select(2, in_range),
        lambda x: sandwich(v1, x, v2).flatten(2).index_select(2, order),
        lambda c: sandwich(v1.T, c.index_select(2, back).view(-1, channels, height, width), v2.T),
    )


def fourier_spectrum(response: Tensor, channels: int) -> Spectrum:
    """Of the circular convolution with the transfer function h: ``S = |h|``, and V the Hartley transform.

    The Hartley transform is the real and orthonormal sibling of Fourier's, ``Re F x - Im F x``, and its own
    inverse. As ``|h(k)| = |h(-k)|``, its basis functions are singular vectors; U has h's phases beside.

    Args:
        response: h, (H, W), complex, of a real kernel.
        channels: of the images, which are convolved alike.
    """
    known, order, back = _split(response.abs())
    phase = torch.polar(torch.ones_like(response.real), -response.angle())

    def hartley(x: Tensor, phase: Tensor | float = 1.0) -> Tensor:
        transform: Tensor = torch.fft.fft2(x, norm="ortho") * phase
        return transform.real - transform.imag

    def to_range(y: Tensor) -> Tensor:
        return hartley(y, phase.to(y.dtype.to_complex())).flatten(2).index_select(2, known)

    return Spectrum(
        response.abs().flatten()[known].expand(channels, -1),
        to_range,
        lambda x: hartley(x).flatten(2).index_select(2, order),
        lambda c: hartley(c.index_select(2, back).view(-1, channels, *response.shape)),
    )


def _split(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The places of the singular values that count, those followed by all others, and the way back."""
    counts = (values > CUTOFF * values.max()).flatten()
    known = counts.nonzero().flatten()
    order = torch.cat([known, (~counts).nonzero().flatten()])
    return known, order, order.argsort()
