"""The pseudo-inverse, against dense linear algebra."""

from __future__ import annotations

import torch

from idmcli.operators import LinearOperator
from tests.small import dense, each, flat, picture, run


@each()
def test_it_is_the_least_squares_image_of_minimum_norm(operator: LinearOperator) -> None:
    y, a = operator.A(picture(operator)), dense(operator)
    found, measured = flat(run("pinv", operator, y))[0], flat(y)[0]
    assert (a.T @ (a @ found - measured)).norm() < 2e-5 * (a.T @ measured).norm()
    assert (torch.linalg.pinv(a, rtol=1e-9) @ (a @ found) - found).norm() < 1e-6 * found.norm()  # in the row space
