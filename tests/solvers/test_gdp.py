"""GDP: step by step against its equations on the authors' scale, and any operator with the shipped prior."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.metrics import psnr
from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import HDR, Blur, NonlinearBlur, Operator, Problem, add_noise
from idmcli.solvers import Progress, gdp
from tests.small import (
    OF_CAMERA,
    OPERATORS,
    SIMPLE_BLUR,
    Curved,
    Oracle,
    camera,
    each,
    gain,
    generator,
    picture,
    run,
    shipped_prior,
)

UNKNOWN = pytest.mark.parametrize(
    ("operator", "guess"),
    [
        (HDR((1, 48, 48), 1.7), 1.2),
        (HDR((1, 48, 48), 1.7), 3.0),
        (SIMPLE_BLUR, 0.8),
        (SIMPLE_BLUR, 3.0),
        (Blur((1, 48, 48), {"type": "gaussian", "size": 11, "std": 2.0}, boundary="circular"), 1.0),
        (NonlinearBlur(SIMPLE_BLUR), 0.8),
    ],
    ids=lambda value: str(getattr(value, "kind", value)),
)


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
    assert gain("gdp", operator, steps=20, scale=4e5) > gain("gdp", operator, steps=20, scale=4e3) + 1


@UNKNOWN
def test_an_unknown_number_is_found_by_the_true_image(operator: Operator, guess: float) -> None:
    """Gauss-Newton steps: whole ones arrive at once, others bring a share of what is missing."""
    x = camera(48, 2)
    y, found = operator.A(x), operator.with_unknown(guess)
    assert operator.unknown is not None
    for _ in range(12):
        found = gdp.refine(found, x, y, 1.0)
    assert found.unknown == pytest.approx(operator.unknown, rel=1e-2)
    near = operator.with_unknown(1.05 * operator.unknown)
    (missing,) = [gdp.refine(near, x, y, 0.25).unknown]
    assert missing is not None and math.log(missing / operator.unknown) == pytest.approx(0.75 * math.log(1.05), rel=0.1)


def noting(found: list[float]) -> Progress:
    """Append what blind sampling makes of the unknown number, step by step."""

    def progress(done: int, total: int, unknown: float | None = None) -> None:
        if unknown is not None:
            found.append(unknown)

    return progress


@UNKNOWN
@pytest.mark.parametrize("guided", ["x0", "xt"])
def test_blind_sampling_recovers_what_a_prior_can_tell(operator: Operator, guess: float, guided: str) -> None:
    x, found = camera(48, 2), list[float]()
    options = {"blind": True, "guess": guess, "rate": 0.3, "steps": 25, "guided": guided}
    run("gdp", operator, operator.A(x), Oracle(x), progress=noting(found), **options)
    assert len(found) == 25 and found[-1] == pytest.approx(operator.unknown, rel=0.02)
    assert abs(math.log(found[0] / guess)) < abs(math.log(found[-1] / guess))


def test_blind_sampling_finds_a_blur_with_the_shipped_prior() -> None:
    """From half of the true width, which four images share; they are better than with that."""
    whole, operator = camera(96, 2), Blur((1, 48, 48), {"type": "gaussian", "size": 15, "std": 2.0})
    x = torch.cat([part for rows in whole.split(48, -2) for part in rows.split(48, -1)])
    y, wrong, found = add_noise(operator.A(x), 0.005, 0), operator.with_unknown(1.0), list[float]()
    options = {"steps": 50, "scale": 2e5, "noise": 0.005, "progress": noting(found)}
    seeing, blind = (run("gdp", wrong, y, shipped_prior(), blind=b, **options) for b in (False, True))
    assert len(found) == 50 and 1.6 < found[-1] < 2.4
    assert psnr(blind.clamp(0, 1), x).mean() > psnr(seeing.clamp(0, 1), x).mean() + 0.3


@each("cs-global", "deblur-given", "ct")
def test_other_operators_have_nothing_to_estimate(operator: Operator) -> None:
    with pytest.raises(InputError, match=f"this {operator.kind} operator has no unknown number") as caught:
        run("gdp", operator, operator.A(picture(operator)), Curved(), steps=1, blind=True)
    assert "leave out solver.blind" in caught.value.hint
    assert OPERATORS["cs-global"].unknown is None
