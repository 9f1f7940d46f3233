"""A measured image as solvers see it: centred, padded, and back."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from idmcli.operators import MRI, LinearOperator, Operator, Problem, add_noise
from tests.small import NONLINEAR, OPERATORS, each, picture, random


def centred(operator: LinearOperator, batch: int = 2, mean: float = 0.45) -> Problem:
    return Problem(operator, operator.A(picture(operator, batch)), 0.1).centred(mean)


@each()
def test_centring_subtracts_the_constant_from_the_image_and_image_adds_it(operator: LinearOperator) -> None:
    x, problem = picture(operator, 2), centred(operator)
    torch.testing.assert_close(problem.y, operator.A(x - 0.45), rtol=0, atol=1e-10)
    inside = operator.pad(x - 0.45)
    torch.testing.assert_close(problem.operator.A(inside), problem.y, rtol=0, atol=1e-10)
    torch.testing.assert_close(problem.image(inside), x)
    assert (problem.noise, problem.mean, problem.operator.image_shape) == (0.1, 0.45, operator.padded_shape)


@each()
def test_the_domain_is_tight_wherever_it_can_be(operator: LinearOperator) -> None:
    problem = centred(operator)
    if operator.kind in ("cs", "inpainting"):
        assert problem.operator.tight
    assert problem.pinv is problem.pinv  # computed once
    torch.testing.assert_close(problem.pinv, problem.operator.pinv(problem.y))


@each()
def test_projection_meets_the_measurements(operator: LinearOperator) -> None:
    problem = centred(operator)
    u = random(*problem.pinv.shape, dtype=problem.pinv.dtype)
    met = problem.residual_power(problem.project(u)).max() / problem.residual_power(u).max()
    assert met < (1e-20 if operator.solve(operator.A(picture(operator))).iterations == 0 else 1e-2)
    torch.testing.assert_close(problem.project(u, 0.5), (u + problem.project(u)) / 2)
    assert torch.equal(problem.project(u, 0.0), u)


def test_the_start_is_the_pseudo_inverse_unless_noise_is_blown_up() -> None:
    """The start with noise is Wiener's estimate: near x where A+ y is not, and A+ y in the limit."""
    operator = OPERATORS["deblur-gaussian"]
    x = picture(operator)
    y = add_noise(operator.A(x), 0.05, 0)
    noisy, clean = Problem(operator, y, 0.05).centred(0.45), Problem(operator, y).centred(0.45)
    torch.testing.assert_close(clean.start, clean.pinv)
    assert (noisy.image(noisy.start) - x).norm() < 0.5 * (noisy.image(noisy.pinv) - x).norm()
    torch.testing.assert_close(replace(noisy, noise=1e-9).start, noisy.pinv)


def test_inpainting_starts_from_a_smooth_surface() -> None:
    operator = OPERATORS["inpainting-random"]
    ramp = torch.linspace(0, 1, operator.image_shape[2], dtype=torch.float64).expand(1, *operator.image_shape)
    start = Problem(operator, operator.A(ramp)).first_guess(0.45)
    torch.testing.assert_close(operator.A(start), operator.A(ramp))
    constant = Problem(operator, operator.A(ramp)).centred(0.45)
    assert (start - ramp).norm() < 0.5 * (constant.image(constant.pinv) - ramp).norm()


@each("cs-global", "cs-blocks-padded", "inpainting-random", "mri-asymmetric-odd")
def test_the_range_projection_is_what_the_measurements_decide(operator: LinearOperator) -> None:
    problem = centred(operator)
    u = random(*problem.pinv.shape)
    inside = problem.range_projection(u)
    torch.testing.assert_close(problem.range_projection(inside), inside)
    torch.testing.assert_close(problem.project(u), u - inside + problem.pinv)


def test_the_residual_power_is_of_each_image_and_channel() -> None:
    operator = OPERATORS["cs-blocks-colour"]
    problem = Problem(operator, operator.A(picture(operator, 3)))
    residual = torch.arange(9.0, dtype=torch.float64).view(3, 3, 1, 1)
    u = operator.AT(problem.y - residual)
    torch.testing.assert_close(problem.residual_power(u), residual**2)


def test_a_complex_residual_counts_both_parts() -> None:
    operator = MRI((1, 16, 16), torch.ones(16, 16))
    problem = centred(operator, 1)
    u = random(1, 1, 16, 16)
    exact = (operator.A(u) - problem.y).abs().square().mean()
    assert problem.residual_power(u).item() == pytest.approx(exact.item())


@each(*OPERATORS, *NONLINEAR)
def test_the_first_guess_is_an_image_to_start_from(operator: Operator) -> None:
    x = picture(operator)
    problem: Problem[Operator] = Problem(operator, operator.A(x))
    guess = problem.first_guess(0.45)
    assert guess.shape == x.shape
    if isinstance(operator, LinearOperator):
        assert (guess - x).norm() < (x - 0.45).norm() * 1.01  # A+ adds to the constant what was measured
        closed_form = operator.solve(problem.y).iterations == 0
        if closed_form and operator.padded() is operator:
            torch.testing.assert_close(operator.pinv(operator.A(guess)), operator.pinv(problem.y))
    else:
        assert torch.equal(guess, operator.rough_inverse(problem.y))
