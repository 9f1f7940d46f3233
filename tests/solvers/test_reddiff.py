"""RED-diff: against the authors' loss on their scale, and any operator."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Blur, NonlinearBlur, Operator, Problem
from tests.small import OF_CAMERA, OPERATORS, Curved, Watched, each, gain, generator, picture, run


def by_the_paper(operator: Operator, y: Tensor, steps: int, weight: float, rate: float) -> Tensor:
    """Algorithm 1 of Mardani et al. for images from -1 to 1: Adam on the loss of the authors' code."""
    prior, source = Curved(), generator()
    mu = (2 * Problem(operator, y).first_guess(prior.domain.mean) - 1).requires_grad_()
    adam = torch.optim.Adam([mu], rate, (0.9, 0.99), eps=2e-8 / mu.numel())  # ours has gradients N / 2 times as large
    for level in falling_levels(steps)[:-1]:
        ab = 1 / (1 + (2 * level) ** 2)
        noise = normal_like(mu, source)
        x_t = math.sqrt(ab) * mu.detach() + math.sqrt(1 - ab) * noise
        sigma = torch.full((1, 1, 1, 1), level, dtype=mu.dtype)
        x0 = 2 * prior((x_t / math.sqrt(ab) + 1) / 2, sigma) - 1
        estimate = (x_t - math.sqrt(ab) * x0) / math.sqrt(1 - ab)
        residual = 2 * (y - operator.A((mu + 1) / 2)) / math.sqrt(operator.squared_norm(y))
        regulariser = weight * math.sqrt((1 - ab) / ab) * ((estimate - noise) * mu).mean()
        adam.zero_grad()
        (residual.abs().square().mean() / 2 + regulariser).backward()  # type: ignore[no-untyped-call]
        adam.step()
    return (mu.detach() + 1) / 2


@each("cs-blocks-colour", "mri-equispaced", "mri-coils", "ct", "deblur-given", "hdr", "nonlinear_deblur")
def test_it_takes_the_steps_of_the_paper(operator: Operator) -> None:
    y = operator.A(picture(operator))
    found = run("reddiff", operator, y, Curved(), steps=6, weight=0.25, rate=0.25)
    torch.testing.assert_close(found, by_the_paper(operator, y, 6, 0.25, 0.5), rtol=0, atol=1e-5)


def test_its_levels_fall_from_where_it_is_told() -> None:
    operator = OPERATORS["inpainting-given"]
    x = picture(operator)
    prior = Watched(Curved(), x)
    run("reddiff", operator, operator.A(x), prior, steps=5, sigma_start=0.2)
    assert [told for _, told in prior.seen] == pytest.approx(falling_levels(5, 0.2)[:-1])


def test_measurements_are_left_as_they_are() -> None:
    """An operator's first guess may be the measurements themselves, and Adam writes to its start."""
    operator = NonlinearBlur(Blur((1, 12, 12), {"type": "gaussian", "size": 5, "std": 1.0}))
    y = operator.A(picture(operator))
    before = y.clone()
    run("reddiff", operator, y, Curved(), steps=2)
    assert torch.equal(y, before)


@pytest.mark.parametrize("operator", OF_CAMERA, ids=lambda operator: str(operator.kind))
def test_it_takes_any_operator(operator: Operator) -> None:
    assert gain("reddiff", operator, steps=40) > 1
