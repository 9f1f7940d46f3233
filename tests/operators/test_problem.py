"""The centred, padded problem that solvers work on."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators import MRI, CompressedSensing, LinearOperator, ParallelBeamCT
from idmcli.operators.problem import Problem

MASK = (torch.arange(20 * 24).reshape(20, 24) * 7 % 5 < 2).float()
OPERATORS = [
    CompressedSensing((3, 20, 24), 0.4, block=16),
    CompressedSensing((1, 16, 32), 0.4, block=16, permutation="none"),
    MRI((1, 20, 24), MASK),
    ParallelBeamCT((1, 20, 24), 7),
]


def picture(operator: LinearOperator, batch: int = 2) -> Tensor:
    return torch.rand(batch, *operator.image_shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("operator", OPERATORS)
def test_centring_subtracts_the_constant_from_the_image(operator: LinearOperator) -> None:
    x = picture(operator)
    problem = Problem.centred(operator, operator.A(x), 0.45)
    torch.testing.assert_close(problem.y, operator.A(x - 0.45), rtol=0, atol=1e-11)
    torch.testing.assert_close(problem.operator.A(operator.pad(x - 0.45)), problem.y, rtol=0, atol=1e-11)
    assert problem.back_projection.shape == (2, *operator.padded_shape)
    assert problem.mean == 0.45


@pytest.mark.parametrize("operator", OPERATORS[:3])
def test_projection_meets_the_measurements(operator: LinearOperator) -> None:
    x = picture(operator)
    problem = Problem.centred(operator, operator.A(x), 0.45)
    u = torch.randn_like(problem.back_projection)
    assert problem.residual_power(problem.project(u)).max() < 1e-18
    half = problem.project(u, 0.5)
    torch.testing.assert_close(half, (u + problem.project(u)) / 2)
    assert torch.equal(problem.project(u, 0.0), u)


def test_projection_nearly_meets_the_measurements_of_ct() -> None:
    operator = OPERATORS[3]
    problem = Problem.centred(operator, operator.A(picture(operator)), 0.45)
    u = torch.randn_like(problem.back_projection)
    assert (problem.residual_power(problem.project(u)) / problem.residual_power(u)).max() < 1e-2


def test_the_residual_power_is_per_image() -> None:
    operator = OPERATORS[1]
    problem = Problem.centred(operator, operator.A(picture(operator, 3)), 0.0)
    residual = torch.tensor([0.0, 1.0, 3.0], dtype=torch.float64).view(3, 1, 1, 1)
    u = operator.AT(problem.y - residual)
    torch.testing.assert_close(problem.residual_power(u), residual**2)


def test_a_complex_residual_counts_both_parts() -> None:
    operator = MRI((1, 16, 16), torch.ones(16, 16))
    problem = Problem.centred(operator, operator.A(picture(operator, 1)), 0.45)
    u = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    exact = (operator.A(u) - problem.y).abs().square().mean()
    assert problem.residual_power(u).item() == pytest.approx(exact.item())


def test_complex_images_are_refused() -> None:
    operator = MRI((1, 20, 24), MASK, complex_image=True)
    with pytest.raises(InputError, match="not complex ones"):
        Problem.centred(operator, operator.A(picture(operator).to(torch.complex128)), 0.45)
