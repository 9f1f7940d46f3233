"""Singular values of maps, wide and tall, real and complex, against a dense decomposition."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.numerics.singular import SingularVectors, orthonormal, singular_values
from tests.small import random

SHAPES = pytest.mark.parametrize("shape", [(5, 9), (9, 5), (130, 70), (7, 7)])
TYPES = pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])


def maps(a: Tensor) -> SingularVectors:
    forward, adjoint = (lambda v: v @ a.T), (lambda u: u @ a.conj())
    known = singular_values(forward, adjoint, (a.shape[0], a.shape[1]), a)
    return SingularVectors(forward, adjoint, known)


@SHAPES
@TYPES
def test_values_and_both_sides(shape: tuple[int, int], dtype: torch.dtype) -> None:
    a = random(*shape, dtype=dtype)
    svd = maps(a)
    torch.testing.assert_close(svd.known.values, torch.linalg.svdvals(a))
    v, u = random(3, shape[1], dtype=dtype), random(3, shape[0], dtype=dtype)
    torch.testing.assert_close(svd.from_left(svd.known.values * svd.to_right(v)), v @ a.T)  # A = U S V^H
    torch.testing.assert_close(svd.from_right(svd.known.values * svd.to_left(u)), u @ a.conj())
    c = random(3, min(shape), dtype=dtype)
    torch.testing.assert_close(svd.to_right(svd.from_right(c)), c)
    torch.testing.assert_close(svd.to_left(svd.from_left(c)), c)


def test_values_above_a_cutoff() -> None:
    svd = maps(torch.diag(torch.tensor([1.0, 1e-2, 5.0]).double()))
    above = svd.known.above(0.1)
    assert above.values.tolist() == pytest.approx([5, 1]) and above.vectors.shape == (3, 2)


@SHAPES
@TYPES
def test_orthonormal_rows_or_columns(shape: tuple[int, int], dtype: torch.dtype) -> None:
    q = torch.linalg.qr(random(max(shape), min(shape), dtype=dtype))[0]
    q = q if shape[0] >= shape[1] else q.mT.contiguous()

    def found(a: Tensor, tolerance: float) -> bool:
        return orthonormal(lambda v: v @ a.T, lambda u: u @ a.conj(), shape, a, tolerance)

    assert found(q, 1e-12) and not found(random(*shape, dtype=dtype), 1e-3)
    q[-1, -1] += 1e-3
    assert not found(q, 1e-5) and found(q, 1e-2)
