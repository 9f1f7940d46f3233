"""The Walsh-Hadamard transform against SciPy's matrices, and the orders of its rows against their definitions."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from idmcli.numerics.walsh_hadamard import dyadic, natural, sequency, walsh_hadamard
from tests.small import random

SIZES = pytest.mark.parametrize("n", [1, 2, 4, 32, 128])


@SIZES
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex128])
def test_it_is_the_matrix_of_sylvester(n: int, dtype: torch.dtype) -> None:
    x = random(3, 2, n, dtype=dtype)
    expected = x.numpy() @ hadamard(n) / np.sqrt(n)
    torch.testing.assert_close(walsh_hadamard(x), torch.from_numpy(expected).to(dtype))
    torch.testing.assert_close(walsh_hadamard(walsh_hadamard(x)), x)


@SIZES
def test_the_sequency_is_the_number_of_changes_of_sign(n: int) -> None:
    changes = (np.diff(hadamard(n)[sequency(n).tolist()], axis=1) != 0).sum(1)
    assert changes.tolist() == list(range(n))


@SIZES
def test_the_dyadic_order_multiplies_the_rows_of_rademacher(n: int) -> None:
    """Paley's row k is the product of the square waves r_j, of 2^j periods, for the binary digits 2^(j-1) of k."""
    places = (np.arange(n) + 0.5) / n
    expected = np.ones((n, n))
    for k in range(n):
        for digit in range(k.bit_length()):
            if k >> digit & 1:
                expected[k] *= np.sign(np.sin(2 ** (digit + 1) * np.pi * places))
    assert (hadamard(n)[dyadic(n)] == expected).all()


@SIZES
def test_every_order_has_every_row_once(n: int) -> None:
    for order in (natural, dyadic, sequency):
        assert order(n).sort().values.tolist() == list(range(n))
