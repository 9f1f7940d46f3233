"""Block compressed sensing: the matrix, the permutations, padding and what is refused."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import CompressedSensing
from idmcli.operators.gaussian import gram_schmidt, orthonormal_rows
from idmcli.operators.stored import digest


def test_golden_matrix() -> None:
    """Every machine draws these bytes; a change breaks the measurement files in the processes."""
    operator = CompressedSensing((1, 32, 32), 0.1)
    assert operator.measurement_shape == (1, 1, 103)
    spec = operator.to_spec()
    assert spec["phi_sha256"] == "f5df28af75da12d16cbc6f9365392147f98231f79ace91f064463469f9c69519"
    assert spec["permutation_sha256"] == "dc1c0bf7aa434d0960c53bf10418487c4b0080372ceb8eff8deb0759a52ca21c"


def test_rows_are_the_q_factor() -> None:
    gaussian = np.random.Generator(np.random.PCG64(7)).standard_normal((60, 64)).astype(np.float32).astype(np.float64)
    q, r = np.linalg.qr(gaussian.T)
    expected = (q * np.sign(np.diag(r))).T
    np.testing.assert_allclose(orthonormal_rows(64, 7, 60).numpy(), expected, atol=1e-12)


@pytest.mark.parametrize("count", [1, 103, 308, 512])
def test_rows_are_orthonormal_and_nested(count: int) -> None:
    rows = orthonormal_rows(1024, 0, count)
    assert rows.dtype == torch.float64
    torch.testing.assert_close(rows @ rows.T, torch.eye(count, dtype=torch.float64), rtol=0, atol=1e-14)
    assert torch.equal(rows[: count // 2 + 1], orthonormal_rows(1024, 0, count // 2 + 1))
    assert not torch.equal(rows, orthonormal_rows(1024, 1, count))


def test_gram_schmidt_survives_dependent_rows() -> None:
    rows = np.random.Generator(np.random.PCG64(0)).standard_normal((40, 64))
    rows[1::2] = rows[::2] + 1e-7 * rows[1::2]
    q = gram_schmidt(rows)
    np.testing.assert_allclose(q @ q.T, np.eye(40), atol=1e-13)


@pytest.mark.parametrize(
    ("ratio", "rows"), [(0.1, 103), (0.3, 308), (0.5, 512), (103 / 1024, 103), (1e-9, 1), (1, 1024)]
)
def test_rows_per_ratio(ratio: float, rows: int) -> None:
    phi = torch.eye(1024)[:rows]
    operator = CompressedSensing((1, 32, 32), ratio, phi=phi)
    assert operator.measurement_shape == (1, 1, rows)
    assert operator.ratio == rows / 1024


def test_rounding_of_the_ratio_adds_no_row() -> None:
    assert CompressedSensing((1, 10, 10), 0.07, block=10).measurement_shape[2] == 7


def test_blocks_against_plain_loops() -> None:
    operator = CompressedSensing((3, 8, 12), 0.5, block=4, permutation="none")
    x = torch.rand(2, 3, 8, 12, dtype=torch.float64)
    y = operator.A(x)
    for k in range(6):
        row, column = 4 * (k // 3), 4 * (k % 3)
        vector = x[..., row : row + 4, column : column + 4].reshape(2, 3, 16)
        torch.testing.assert_close(y[:, :, k], vector @ operator.phi.T)


def test_global_permutation_against_numpy() -> None:
    operator = CompressedSensing((1, 7, 10), 0.5, block=4, seed=3, permutation_seed=9)
    order = np.random.Generator(np.random.PCG64(9)).permutation(8 * 12)
    x = torch.rand(1, 1, 7, 10, dtype=torch.float64)
    pixels = np.zeros((8, 12))
    pixels[:7, :10] = x[0, 0].numpy()
    expected = pixels.ravel()[order].reshape(6, 16) @ operator.phi.numpy().T
    np.testing.assert_allclose(operator.A(x)[0, 0].numpy(), expected, atol=1e-14)
    assert operator.padded_shape == (1, 8, 12)
    assert not operator.tight
    assert operator.padded().tight


def test_seeds() -> None:
    base = CompressedSensing((1, 8, 8), 0.5, block=4, seed=1)
    other = CompressedSensing((1, 8, 8), 0.5, block=4, seed=1, permutation_seed=2)
    assert torch.equal(base.phi, other.phi)
    assert base.permutation is not None
    assert other.permutation is not None
    assert not torch.equal(base.permutation, other.permutation)
    assert sorted(other.permutation.tolist()) == list(range(64))


def test_padding_costs_few_iterations() -> None:
    operator = CompressedSensing((1, 50, 61), 0.3, block=16)
    x = torch.rand(2, 1, 50, 61)
    solution = operator.solve(operator.A(x))
    assert solution.converged
    assert solution.iterations <= 25


def test_given_matrix_travels_with_the_operator() -> None:
    phi = orthonormal_rows(16, 5, 8).clone()
    operator = CompressedSensing((1, 8, 8), 0.5, block=4, phi=phi, permutation="none")
    assert operator.to_spec()["seed"] is None
    assert set(operator.arrays()) == {"phi"}
    assert operator.to_spec()["phi_sha256"] == digest(phi.float())


@pytest.mark.parametrize("ratio", [0, -0.1, 1.5, float("nan"), float("inf"), "0.5", None, True])
def test_bad_ratio(ratio: Any) -> None:
    with pytest.raises(InputError, match="sampling ratio"):
        CompressedSensing((1, 8, 8), ratio, block=4)


def test_channels_may_have_permutations_of_their_own() -> None:
    colour = CompressedSensing((3, 7, 10), 0.5, block=4, permutation_seed=[5, 6, 7])
    x = torch.rand(2, 3, 7, 10, dtype=torch.float64)
    y = colour.A(x)
    for channel, seed in enumerate((5, 6, 7)):
        grey = CompressedSensing((1, 7, 10), 0.5, block=4, permutation_seed=seed)
        torch.testing.assert_close(y[:, channel, None], grey.A(x[:, channel, None]))
    again = CompressedSensing.from_spec(colour.to_spec(), colour.arrays())
    assert torch.equal(again.A(x), y) and again.mixing


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"block": 0}, "block size"),
        ({"block": 65}, "block size"),
        ({"block": 8.0}, "block size"),
        ({"seed": -1}, "seed of the matrix"),
        ({"seed": 2**32}, "seed of the matrix"),
        ({"permutation_seed": 1.5}, "seed of the permutation"),
        ({"permutation": "local"}, "permutation is 'local'"),
        ({"permutation": "none", "permutation_seed": 1}, "without a global permutation"),
        ({"permutation": torch.zeros(64, dtype=torch.int64)}, "every pixel index once"),
        ({"permutation": torch.arange(64) - 1}, "every pixel index once"),
        ({"permutation": torch.arange(63)}, "64 int64 indices|shape"),
        ({"permutation": torch.arange(64.0)}, "shape"),
        ({"permutation": torch.arange(64).repeat(2, 1)}, "shape"),
        ({"permutation_seed": [1, 2]}, "there are 2 seeds of permutations"),
        ({"permutation_seed": ["a"]}, "seed of the permutation"),
        ({"phi": torch.eye(16)[:7]}, "sampling matrix has shape"),
        ({"phi": 2 * torch.eye(16)[:8]}, "not orthonormal"),
        ({"phi": torch.full((8, 16), float("nan"))}, "not orthonormal"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        CompressedSensing((1, 8, 8), 0.5, **{"block": 4, **options})
