"""Dense matrices with the interface of sparse ones."""

from __future__ import annotations

import torch

from idmcli.numerics.dense import DenseMatrix
from tests.small import random


def test_products_and_the_adjoint() -> None:
    a, x, y = (random(*shape, dtype=torch.complex128) for shape in ((4, 3), (2, 3), (2, 4)))
    matrix = DenseMatrix(a)
    torch.testing.assert_close(matrix.times(x), x @ a.T)
    torch.testing.assert_close(matrix.adjoint(3).times(y), y @ a.conj())
    assert matrix.to(torch.zeros(1, dtype=torch.complex64)).values.dtype == torch.complex64
