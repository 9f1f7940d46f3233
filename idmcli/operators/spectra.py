"""Singular value decompositions in closed form: of a Kronecker product, and of a circular convolution."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.numerics.linear_map import linear_map
from idmcli.operators.linear import Spectrum

LEAST_SINGULAR_VALUE = 1e-3  # relative to the largest; single precision keeps less than four digits of A x below it


def completed(coordinates: Tensor, count: int) -> Tensor:
    """Coordinates (B, G, n) with zeros for the rest of ``count``: (B, G, count)."""
    return torch.nn.functional.pad(coordinates, (0, count - coordinates.shape[2]))


def sandwich(left: Tensor, x: Tensor, right: Tensor) -> Tensor:
    """``L X R^T`` for each image X of a batch (..., H, W)."""
    left, right = left.to(x), right.to(x)
    return linear_map(x, lambda x: left @ x @ right.T, lambda y: left.T @ y @ right)


def decomposed(matrix: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The singular value decomposition ``U S V^T`` of an (M, N) matrix: U, the M or N values, and all of V^T.

    A wide matrix has it from ``R R^T = U S^2 U^T`` and ``V = R^T U / S``, completed to a basis, at a fraction of the
    time; unless it is nearly without full rank, where the square would lose digits.
    """
    short, long = matrix.shape
    if short < long:
        squares, u = torch.linalg.eigh(matrix @ matrix.T)
        if squares[0] > 1e-4 * squares[-1]:
            s = squares.sqrt()
            known = matrix.T @ u / s
            others = torch.linalg.qr(known, mode="complete").Q[:, short:]
            return u.flip(1), s.flip(0), torch.cat([known.flip(1), others], 1).T
    u, s, v = torch.linalg.svd(matrix)
    return u, s, v


def kronecker_spectrum(rows: Tensor, columns: Tensor, channels: int) -> Spectrum:
    """The spectrum of ``X -> R X C^T``, whose singular values are the products of the singular values of R and C.

    Args:
        rows: R, (H', H).
        columns: C, (W', W).
        channels: the number of channels of the images, which are measured alike.

    Returns:
        the spectrum, from the decompositions of the two small matrices.
    """
    (u1, s1, v1), (u2, s2, v2) = decomposed(rows), decomposed(columns)
    height, width = len(v1), len(v2)
    values = rows.new_zeros(height, width)
    values[: len(s1), : len(s2)] = torch.outer(s1, s2)
    known, order, back = _split(values)
    in_range = known // width * len(u2) + known % width  # the same pairs in the grid of y

    def from_basis(c: Tensor) -> Tensor:
        grid = completed(c, height * width).index_select(2, back).view(-1, channels, height, width)
        return sandwich(v1.T, grid, v2.T)

    return Spectrum(
        values.flatten()[known].expand(channels, -1),
        lambda y: sandwich(u1.T, y, u2.T).flatten(2).index_select(2, in_range),
        lambda x: sandwich(v1, x, v2).flatten(2).index_select(2, order),
        from_basis,
    )


def fourier_spectrum(response: Tensor, channels: int) -> Spectrum:
    """The spectrum of a circular convolution with the transfer function h: ``S = |h|``, and V is the Hartley transform.

    The Hartley transform ``Re F x - Im F x`` is real and orthonormal, and its own inverse. As
    ``|h(k)| = |h(-k)|``, its basis functions are singular vectors; U has the phases of h in addition.

    Args:
        response: h, (H, W), complex, of a real kernel.
        channels: the number of channels of the images, which are convolved alike.

    Returns:
        the spectrum.
    """
    known, order, back = _split(response.abs())
    phase = torch.polar(torch.ones_like(response.real), -response.angle())

    def hartley(x: Tensor, phase: Tensor | float = 1.0) -> Tensor:
        transform: Tensor = torch.fft.fft2(x, norm="ortho") * phase
        return transform.real - transform.imag

    def to_range(y: Tensor) -> Tensor:
        return hartley(y, phase.to(y.dtype.to_complex())).flatten(2).index_select(2, known)

    def from_basis(c: Tensor) -> Tensor:
        return hartley(completed(c, response.numel()).index_select(2, back).view(-1, channels, *response.shape))

    return Spectrum(
        response.abs().flatten()[known].expand(channels, -1),
        to_range,
        lambda x: hartley(x).flatten(2).index_select(2, order),
        from_basis,
    )


def _split(values: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The places of the singular values that count, these places before all others, and the way back."""
    counts = (values > LEAST_SINGULAR_VALUE * values.max()).flatten()
    known = counts.nonzero().flatten()
    order = torch.cat([known, (~counts).nonzero().flatten()])
    return known, order, order.argsort()
