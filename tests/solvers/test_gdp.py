"""GDP: step by step against its equations on the authors' scale, and any operator with the shipped prior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Operator, Problem
from tests.small import OF_CAMERA, Curved, each, gain, generator, picture, run


def by_the_paper(operator: Operator, y: Tensor, steps: int, scale: float, guided: str) -> Tensor:
    """Algorithms 1 and 2 of Fei et al.: DDPM for images from -1 to 1, and the loss by autograd for those from 0 to 1.

    Images of a prior whose mean is m vary around it, so that here the scale's zero is m, not 1/2.
    """
    prior, source = Curved(), generator()
    m = prior.domain.mean
    start = Problem(operator, y).first_guess(m)
    levels = falling_levels(steps)
    ab = [1 / (1 + (2 * level) ** 2) for level in levels]
    x_t = math.sqrt(ab[0]) * 2 * (start + levels[0] * normal_like(start, source) - m)
    for t in range(steps):
        sigma = torch.full((1, 1, 1, 1), levels[t], dtype=x_t.dtype)
        x0 = 2 * (prior(x_t / math.sqrt(ab[t]) / 2 + m, sigma) - m)
        at = (x0 if guided == "x0" else x_t).detach().requires_grad_()
        loss = (operator.A(at / 2 + m) - y).abs().square().sum() / (3 * 256 * 256) / operator.squared_norm(y)
        (gradient,) = torch.autograd.grad(loss, at)
        alpha = ab[t] / ab[t + 1]
        mean = math.sqrt(alpha) * (1 - ab[t + 1]) * x_t + math.sqrt(ab[t + 1]) * (1 - alpha) * x0
        variance = (1 - ab[t + 1]) / (1 - ab[t]) * (1 - alpha)
        x_t = mean / (1 - ab[t]) - scale * gradient + math.sqrt(variance) * normal_like(start, source)
    return x_t / 2 + m


@each("cs-blocks-colour", "mri-equispaced", "mri-coils", "ct", "deblur-given", "hdr", "nonlinear_deblur")
@pytest.mark.parametrize("guided", ["x0", "xt"])
def test_it_takes_the_steps_of_the_paper(operator: Operator, guided: str) -> None:
    y = operator.A(picture(operator))
    found = run("gdp", operator, y, Curved(), steps=5, scale=9e4, guided=guided)
    torch.testing.assert_close(found, by_the_paper(operator, y, 5, 9e4, guided), rtol=0, atol=1e-6)


@pytest.mark.parametrize("operator", OF_CAMERA, ids=lambda operator: str(operator.kind))
def test_it_takes_any_operator_and_guidance_counts(operator: Operator) -> None:
    assert gain("gdp", operator, steps=40, scale=4e5) > gain("gdp", operator, steps=40, scale=4e3) + 1
