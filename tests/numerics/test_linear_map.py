"""A linear map and its adjoint as one differentiable function."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from idmcli.numerics.linear_map import adjoint_deviation, linear_map
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


def test_the_deviation_from_the_adjoint() -> None:
    u, w = random(1, 3), random(1, 4)
    assert adjoint_deviation(forward, adjoint, u, w) < 1e-14
    assert 0.2 < adjoint_deviation(forward, lambda y: 2 * adjoint(y), u, w) < 2
    assert adjoint_deviation(lambda x: 0 * forward(x), lambda y: 0 * adjoint(y), u, w) == 0
    assert adjoint_deviation(lambda x: 0 * forward(x), adjoint, u, w) == math.inf
    many, others = random(1, 10**6), random(1, 10**6, seed=1)
    assert adjoint_deviation(lambda x: x, lambda y: 1.01 * y, many, others) > 5e-3
    conjugate = (random(1, 3, dtype=torch.complex128), random(1, 4, dtype=torch.complex128))
    matrix = random(4, 3, dtype=torch.complex128)
    assert adjoint_deviation(lambda x: x @ matrix.T, lambda y: y @ matrix.conj(), *conjugate) < 1e-14
    assert adjoint_deviation(lambda x: x @ matrix.T, lambda y: y @ matrix, *conjugate) > 1e-2
