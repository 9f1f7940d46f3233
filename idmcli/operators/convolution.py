"""Convolution of images with a kernel, by the fast Fourier transform, and what it meets beyond their edges."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map

Boundary = Literal["reflect", "circular"]


def check_boundary(boundary: str) -> None:
    """Raise InputError unless there is such a boundary."""
    if boundary not in get_args(Boundary):
        raise InputError(f"the boundary is {boundary!r}", "it must be 'reflect' or 'circular'")


def convolve(x: Tensor, kernel: Tensor, boundary: str) -> Tensor:
    """``y[i] = sum_j k[j] x[i + c - j]`` with the kernel's centre c = (K // 2, L // 2); (..., H, W) to the same.

    The derivative is :func:`convolve_adjoint`, exactly.

    Args:
        x: images (..., H, W).
        kernel: k, (K, L).
        boundary: what is beyond the edges of an image: the image mirrored without repeating them ("reflect"), or its
            other side ("circular").

    Returns:
        y, (..., H, W).
    """
    return linear_map(x, lambda x: _convolve(x, kernel, boundary), lambda y: _adjoint(y, kernel, boundary))


def convolve_adjoint(y: Tensor, kernel: Tensor, boundary: str) -> Tensor:
    """The adjoint of :func:`convolve`."""
    return linear_map(y, lambda y: _adjoint(y, kernel, boundary), lambda x: _convolve(x, kernel, boundary))


def _convolve(x: Tensor, kernel: Tensor, boundary: str) -> Tensor:
    rows, columns = _sources(x, kernel, boundary)
    extended = x.index_select(-2, rows).index_select(-1, columns)
    top, left = kernel.shape[0] - 1, kernel.shape[1] - 1  # where no end of the transform has wrapped around
    sizes = [fast_length(n) for n in extended.shape[-2:]]
    response = torch.fft.rfft2(kernel, s=sizes).to(x.dtype.to_complex())
    y: Tensor = torch.fft.irfft2(torch.fft.rfft2(extended, s=sizes) * response, s=sizes)
    return y[..., top : top + x.shape[-2], left : left + x.shape[-1]].contiguous()


def _adjoint(y: Tensor, kernel: Tensor, boundary: str) -> Tensor:
    rows, columns = _sources(y, kernel, boundary)
    sizes = [fast_length(len(rows)), fast_length(len(columns))]
    top, left = kernel.shape[0] - 1, kernel.shape[1] - 1
    placed = y.new_zeros(*y.shape[:-2], *sizes)
    placed[..., top : top + y.shape[-2], left : left + y.shape[-1]] = y
    response = torch.fft.rfft2(kernel, s=sizes).to(y.dtype.to_complex())
    extended = torch.fft.irfft2(torch.fft.rfft2(placed) * response.conj(), s=sizes)[..., : len(rows), : len(columns)]
    folded = y.new_zeros(*y.shape[:-1], len(columns)).index_add(-2, rows, extended)
    return torch.zeros_like(y).index_add(-1, columns, folded)


def mirrored_filter(x: Tensor, response: Tensor) -> Tensor:
    """Filter images that are mirrored beyond their edges without repeating them.

    Args:
        x: images (..., H, W).
        response: of the filter, at the frequencies of one period of the mirrored image, as :func:`mirrored_response`
            has them; alike for positive and negative frequencies along each axis.

    Returns:
        the filtered images, (..., H, W).
    """
    height, width = x.shape[-2:]
    rows, columns = (torch.arange(_period(n), device=x.device) for n in (height, width))
    rows, columns = torch.minimum(rows, -rows % len(rows)), torch.minimum(columns, -columns % len(columns))
    spectrum = torch.fft.rfft2(x.index_select(-2, rows).index_select(-1, columns)) * response
    y: Tensor = torch.fft.irfft2(spectrum, s=(len(rows), len(columns)))
    return y[..., :height, :width]


def mirrored_response(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The eigenvalues of the convolution of mirrored (H, W) images with a kernel that is symmetric along each axis,
    real: for :func:`mirrored_filter`.
    """
    height, width = (_period(n) for n in size)
    return transfer_function(kernel, (height, width)).real[:, : width // 2 + 1]


def _period(size: int) -> int:
    """The period of a mirrored line of pixels."""
    return max(1, 2 * (size - 1))


def convolution_matrix(kernel: Tensor, size: int, boundary: str) -> Tensor:
    """The convolution of a line of pixels as a matrix.

    Args:
        kernel: (K,).
        size: the number of pixels.
        boundary: as for :func:`convolve`.

    Returns:
        the matrix, (size, size).
    """
    count = len(kernel)
    sources = _line_sources(size, count, boundary).to(kernel.device)
    matrix = kernel.new_zeros(size, size)
    return matrix.scatter_add(1, sources.unfold(0, count, 1), kernel.flip(0).expand(size, count))


def transfer_function(kernel: Tensor, size: tuple[int, int]) -> Tensor:
    """The discrete Fourier transform of the circular convolution with a kernel: its eigenvalues, (H, W), complex."""
    rows, columns = (
        (torch.arange(k, device=kernel.device) - k // 2) % n for k, n in zip(kernel.shape, size, strict=True)
    )
    wrapped = kernel.new_zeros(size).index_put((rows[:, None], columns), kernel, accumulate=True)
    response: Tensor = torch.fft.fft2(wrapped)
    return response


def _sources(x: Tensor, kernel: Tensor, boundary: str) -> tuple[Tensor, Tensor]:
    rows, columns = (_line_sources(n, k, boundary) for n, k in zip(x.shape[-2:], kernel.shape, strict=True))
    return rows.to(x.device), columns.to(x.device)


def _line_sources(size: int, count: int, boundary: str) -> Tensor:
    """The pixel at each of the ``size + count - 1`` positions that a kernel of ``count`` values reaches."""
    after = count // 2
    position = torch.arange(after + 1 - count, size + after)
    if boundary == "circular":
        return position % size
    period = _period(size)
    return torch.minimum(position % period, -position % period)


def fast_length(n: int) -> int:
    """The least number from n on with no prime factor above 5, for which the transform is fast."""
    rest = n
    for prime in (2, 3, 5):
        while rest % prime == 0:
            rest //= prime
    return n if rest == 1 else fast_length(n + 1)
