"""The batched conjugate gradient solver against dense linear algebra."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.numerics.conjugate_gradient import conjugate_gradient


def system(dtype: torch.dtype, rank: int = 6) -> tuple[Tensor, Tensor]:
    """Three (A, y) with A (8, rank-deficient 6)."""
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(8, rank, dtype=dtype, generator=generator) @ torch.randn(rank, 6, dtype=dtype, generator=generator)
    return a, torch.randn(3, 8, dtype=dtype, generator=generator)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("rank", [6, 4])
def test_minimum_norm_least_squares(dtype: torch.dtype, rank: int) -> None:
    a, y = system(dtype, rank)
    solution = conjugate_gradient(lambda x: x @ (a.mH @ a).T, y @ a.conj(), tolerance=1e-12)
    assert solution.converged
    assert 1 <= solution.iterations <= 20
    torch.testing.assert_close(solution.x, y @ torch.linalg.pinv(a).T, rtol=1e-8, atol=1e-8)


def test_regularised_system() -> None:
    a, y = system(torch.float64)
    n = a.T @ a + 0.3 * torch.eye(6, dtype=torch.float64)
    x = conjugate_gradient(lambda x: x @ a.T @ a + 0.3 * x, y @ a, tolerance=1e-12).x
    torch.testing.assert_close(x, torch.linalg.solve(n, (y @ a).T).T)


def test_samples_do_not_share_scalars() -> None:
    """Samples of very different scale and difficulty come out as if solved alone; a zero one stays zero."""
    a, y = system(torch.float64)
    b = torch.stack([1e-12 * y[0] @ a, torch.zeros(6, dtype=torch.float64), 1e9 * y[2] @ a])
    together = conjugate_gradient(lambda x: x @ a.T @ a, b, tolerance=1e-10)
    assert together.converged
    assert not together.x[1].any()
    for k in (0, 2):
        alone = conjugate_gradient(lambda x: x @ a.T @ a, b[k : k + 1], tolerance=1e-10)
        torch.testing.assert_close(together.x[k], alone.x[0], rtol=1e-9, atol=0)


def test_status() -> None:
    a, y = system(torch.float64)
    stopped = conjugate_gradient(lambda x: x @ a.T @ a, y @ a, tolerance=1e-12, max_iterations=2)
    assert stopped.iterations == 2
    assert not stopped.converged
    true_residual = ((y @ a - stopped.x @ a.T @ a).norm(dim=1) / (y @ a).norm(dim=1)).max()
    assert stopped.residual == pytest.approx(float(true_residual), rel=1e-6)
    zero = conjugate_gradient(lambda x: x @ a.T @ a, torch.zeros(2, 6))
    assert (zero.iterations, zero.residual, zero.converged) == (0, 0.0, True)


def test_single_precision_stops() -> None:
    """An unreachable tolerance ends at max_iterations with finite numbers."""
    a, y = system(torch.float32)
    solution = conjugate_gradient(lambda x: x @ a.T @ a, y @ a, tolerance=1e-30, max_iterations=300)
    assert torch.isfinite(solution.x).all()
    reached = conjugate_gradient(lambda x: x @ a.T @ a, y @ a, tolerance=1e-5)
    assert reached.converged
    assert reached.x.dtype == torch.float32


def test_null_right_hand_side_component() -> None:
    """A right-hand side in the null space gives up at once and says so."""
    n = torch.diag(torch.tensor([1.0, 0.0]))
    solution = conjugate_gradient(lambda x: x @ n, torch.tensor([[0.0, 1.0]]))
    assert not solution.converged
    assert not solution.x.any()


def test_the_exact_inverse_as_a_preconditioner_takes_one_iteration() -> None:
    a, y = system(torch.float64)
    n = a.T @ a + 0.3 * torch.eye(6, dtype=torch.float64)
    inverse = torch.linalg.inv(n)
    found = conjugate_gradient(lambda x: x @ n, y @ a, tolerance=1e-10, precondition=lambda r: r @ inverse)
    assert found.converged and found.iterations == 1
    torch.testing.assert_close(found.x, y @ a @ inverse)
