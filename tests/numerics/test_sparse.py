"""Sparse matrices against dense ones."""

from __future__ import annotations

import subprocess
import sys
import warnings

import pytest
import torch

from idmcli.memory.ghosts import GhostMode
from idmcli.numerics.sparse import SparseMatrix
from tests.small import random

DENSE = torch.tensor([[0, 2.0, 0, -1], [0, 0, 0, 0], [3, 0, 0.5, 0]], dtype=torch.float64)
SPARSE = SparseMatrix(torch.tensor([0, 2, 2, 4]), torch.tensor([1, 3, 0, 2]), torch.tensor([2, -1, 3, 0.5]).double())


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_products(dtype: torch.dtype) -> None:
    x = random(5, 4, dtype=dtype)
    matrix = SPARSE.to(x)
    torch.testing.assert_close(matrix.times(x), x @ DENSE.to(dtype).T)
    torch.testing.assert_close(matrix.times(x.repeat(1, 2)[:, ::2]), x.repeat(1, 2)[:, ::2] @ DENSE.to(dtype).T)
    assert matrix.times(x[:0]).shape == (0, 3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("layout", [torch.sparse_coo, torch.sparse_csr, torch.sparse_csc])
def test_tensors_of_every_layout_and_their_adjoints(dtype: torch.dtype, layout: torch.layout) -> None:
    dense = random(6, 9, dtype=dtype) * (random(6, 9, seed=1) > 0.5)
    dense[2] = dense[:, 4] = 0  # an empty row and an empty column
    with warnings.catch_warnings(action="ignore"):
        matrix = SparseMatrix.of(dense.to_sparse(layout=layout))
    x, y = random(3, 9, dtype=dtype), random(3, 6, dtype=dtype)
    assert matrix.starts.dtype == matrix.columns.dtype == torch.int32
    torch.testing.assert_close(matrix.times(x), x @ dense.T)
    torch.testing.assert_close(matrix.adjoint(9).times(y), y @ dense.conj())
    again = matrix.adjoint(9).adjoint(6)
    assert all(torch.equal(one, other) for one, other in zip(again, matrix, strict=True))


def test_bytes() -> None:
    assert SPARSE.to(torch.zeros(1)).nbytes == 4 * (4 + 4 + 4)
    assert SPARSE.to(torch.zeros(1, dtype=torch.float64)).nbytes == 4 * (4 + 4) + 8 * 4


def test_shapes_without_values() -> None:
    x = torch.zeros(2, 4, device="meta")
    assert SPARSE.to(x).times(x).shape == (2, 3)
    mode = GhostMode()
    with mode:
        product = SPARSE.to(torch.zeros(1)).times(torch.zeros(2, 4))
    assert product.shape == (2, 3) and mode.storage_of(product)[1] == 4 * 2 * 3


def test_nothing_is_said_about_the_layout() -> None:
    """In a fresh process: PyTorch says it once."""
    script = (
        "import torch\n"
        "from idmcli.numerics.sparse import SparseMatrix\n"
        "matrix = SparseMatrix(torch.tensor([0, 1]), torch.tensor([1]), torch.tensor([2.0])).to(torch.zeros(1))\n"
        "print(matrix.times(torch.tensor([[3.0, 4.0]])).tolist())"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", script], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[[8.0]]\n", "")
