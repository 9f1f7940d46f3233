"""Sparse matrices against dense ones."""

from __future__ import annotations

import subprocess
import sys

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
