"""DPS: step by step against its equations on the authors' scale, and any operator with the shipped prior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import CompressedSensing, Operator, Problem
from tests.small import OF_CAMERA, Curved, each, gain, generator, picture, run


def by_the_paper(operator: Operator, y: Tensor, steps: int, zeta: float) -> Tensor:
    """Algorithm 1 of Chung et al. for images from -1 to 1, with autograd through everything."""
    prior, source = Curved(), generator()
    start = Problem(operator, y).first_guess(prior.domain.mean)
    levels = falling_levels(steps)
    ab = [1 / (1 + (2 * level) ** 2) for level in levels]
    x_t = math.sqrt(ab[0]) * (2 * (start + levels[0] * normal_like(start, source)) - 1)
    norm = math.sqrt(operator.squared_norm(y))
    for t in range(steps):
        x_t = x_t.detach().requires_grad_()
        sigma = torch.full((1, 1, 1, 1), levels[t], dtype=x_t.dtype)
        x0 = 2 * prior((x_t / math.sqrt(ab[t]) + 1) / 2, sigma) - 1
        misfit = 2 * (y - operator.A((x0 + 1) / 2)).norm() / norm
        (gradient,) = torch.autograd.grad(misfit, x_t)
        alpha = ab[t] / ab[t + 1]
        mean = math.sqrt(alpha) * (1 - ab[t + 1]) * x_t + math.sqrt(ab[t + 1]) * (1 - alpha) * x0
        variance = (1 - ab[t + 1]) / (1 - ab[t]) * (1 - alpha)
        x_t = mean / (1 - ab[t]) + math.sqrt(variance) * normal_like(start, source) - zeta * gradient
    return (x_t.detach() + 1) / 2


@each("cs-blocks-colour", "mri-equispaced", "mri-coils", "ct", "deblur-given", "hdr", "nonlinear_deblur")
def test_it_takes_the_steps_of_the_paper(operator: Operator) -> None:
    y = operator.A(picture(operator))
    found = run("dps", operator, y, Curved(), steps=5, zeta=0.7)
    torch.testing.assert_close(found, by_the_paper(operator, y, 5, 0.7), rtol=0, atol=1e-6)


def test_every_image_of_a_batch_has_its_own_norm() -> None:
    operator = CompressedSensing((1, 16, 16), 0.5, block=8)
    y = operator.A(picture(operator, 2))
    together, alone = (run("dps", operator, y[:n], Curved(), steps=1, zeta=2.0) for n in (2, 1))
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("operator", OF_CAMERA, ids=lambda operator: str(operator.kind))
def test_it_takes_any_operator(operator: Operator) -> None:
    assert gain("dps", operator, steps=20, zeta=3.0) > 1
