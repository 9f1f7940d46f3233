"""The Walsh-Hadamard transform, and the orders in which its rows are counted."""

from __future__ import annotations

import math

import torch
from torch import Tensor


def walsh_hadamard(x: Tensor) -> Tensor:
    """``H x / sqrt(n)`` along the last dimension, in n log n additions; orthonormal, and its own inverse.

    H has the entries ``(-1)^(number of ones in the binary digits of i AND j)`` (Sylvester, 1867).

    Args:
        x: (..., n), real or complex, n a power of two.
    """
    n, span = x.shape[-1], 1
    while span < n:
        first, second = torch.unflatten(x, -1, (-1, 2, span)).unbind(-2)
        x = torch.stack([first + second, first - second], -2).flatten(-3)
        span *= 2
    return x / math.sqrt(n)


def natural(n: int) -> Tensor:
    """The rows of H as Sylvester's construction has them: int64 (n,)."""
    return torch.arange(n)


def dyadic(n: int) -> Tensor:
    """The rows of H as Paley counts them (1932): the binary digits of a number, read backwards, are the row."""
    rest, rows = torch.arange(n), torch.zeros(n, dtype=torch.int64)
    for _ in range(n.bit_length() - 1):
        rows, rest = 2 * rows + rest % 2, rest // 2
    return rows


def sequency(n: int) -> Tensor:
    """The rows of H by their changes of sign, as Walsh counts them (1923): row k of this order has k of them."""
    gray = torch.arange(n) ^ torch.arange(n) // 2
    return dyadic(n)[gray]
