"""Power iteration against dense algebra."""

from __future__ import annotations

import pytest
import torch

from idmcli.numerics.power_iteration import largest_eigenvalue
from tests.small import random


def test_it_approaches_the_largest_eigenvalue_from_below() -> None:
    a = random(6, 6)
    matrix, start = a.T @ a, random(6, seed=1)
    largest = float(torch.linalg.matrix_norm(matrix, 2))
    short, long = (largest_eigenvalue(lambda x: matrix @ x, start, n) for n in (2, 500))
    assert short < long == pytest.approx(largest)


def test_of_nothing() -> None:
    assert largest_eigenvalue(lambda x: 0 * x, random(3)) == largest_eigenvalue(lambda x: x, torch.zeros(3)) == 1.0
