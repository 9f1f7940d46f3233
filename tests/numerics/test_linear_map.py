"""A linear map and its adjoint as one differentiable function."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.numerics.linear_map import linear_map
from tests.small import random

MATRIX = random(4, 3)


def forward(x: Tensor) -> Tensor:
    return x @ MATRIX.to(x.dtype).T


def adjoint(y: Tensor) -> Tensor:
    return y @ MATRIX.to(y.dtype)


def test_it_differentiates_to_any_order_by_the_pair() -> None:
    x = random(2, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: linear_map(x, forward, adjoint), x)
    assert torch.autograd.gradgradcheck(lambda x: linear_map(x, forward, adjoint).square(), x)


def test_the_derivative_is_the_adjoint_that_was_given() -> None:
    """Even a wrong one: nothing is differentiated behind its back."""
    x = random(2, 3).requires_grad_()
    (gradient,) = torch.autograd.grad(linear_map(x, forward, lambda y: 2 * adjoint(y)).sum(), x)
    torch.testing.assert_close(gradient, 2 * adjoint(torch.ones(2, 4, dtype=torch.float64)))


def test_autocast_does_not_reach_it() -> None:
    x = random(2, 3, dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside = linear_map(x, forward, adjoint)
    assert torch.equal(inside, forward(x))
