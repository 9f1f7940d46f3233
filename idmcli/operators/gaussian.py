"""Orthonormalised Gaussian matrices that every machine draws alike."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

ROWS_IN_CACHE = 32  # orthogonalised against the rows before them together


def orthonormal_rows(size: int, seed: int, count: int) -> Tensor:
    """The first ``count`` rows of the orthonormal (size, size) float64 matrix of this seed.

    It is the Q factor of a Gaussian matrix, with the signs that make R's diagonal positive. A row does not
    depend on ``count``.

    Args:
        size: the number of columns.
        seed: of a PCG64 generator.
        count: the number of rows, from 1 to ``size``.

    Returns:
        the rows, (count, size). They are shared with a cache: do not write to them.
    """
    step = -(-size // 8)  # eight prefixes serve every count
    return _prefix(size, seed, min(size, -(-count // step) * step))[:count]


@lru_cache(maxsize=8)
def _prefix(size: int, seed: int, count: int) -> Tensor:
    gaussian = np.random.Generator(np.random.PCG64(seed)).standard_normal((count, size))
    # Rounded, so that the last bit of a platform's logarithm does not reach the matrix.
    return torch.from_numpy(gram_schmidt(gaussian.astype(np.float32).astype(np.float64)))


def gram_schmidt(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Orthonormalise rows in order, by modified Gram-Schmidt with selective reorthogonalisation.

    It takes elementwise operations and numpy's pairwise sums only, whose order is fixed. A QR from LAPACK
    differs in the last bits from one BLAS to the next, and so would a checksum of its result.
    """
    q = np.array(rows, dtype=np.float64)
    scratch = np.empty((min(ROWS_IN_CACHE, len(q)), q.shape[1]))
    norms = np.sqrt((q * q).sum(1))
    for start in range(0, len(q), ROWS_IN_CACHE):
        panel = q[start : start + ROWS_IN_CACHE]  # stays in cache
        for j in range(start + len(panel)):
            if j >= start:
                _normalise(q, j, norms[j])
            rest = panel[max(0, j + 1 - start) :]
            product = scratch[: len(rest)]
            coefficients = np.multiply(rest, q[j], out=product).sum(1, keepdims=True)
            rest -= np.multiply(coefficients, q[j], out=product)
    return q


def _normalise(q: NDArray[np.float64], j: int, norm_before: float) -> None:
    """Scale row j to length 1; where cancellation cost it digits, remove what is left of the rows before."""
    row = q[j]
    norm = np.sqrt((row * row).sum())
    if norm < 0.1 * norm_before:
        row /= norm
        row -= ((q[:j] * row).sum(1, keepdims=True) * q[:j]).sum(0)
        norm = np.sqrt((row * row).sum())
    row /= norm
