"""Accelerated gradients: the minimiser of total variation for a linear operator, better than the start for others."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.numerics.differences import gradient
from idmcli.operators import HDR, Blur, NonlinearBlur, Operator, add_noise
from tests.small import ONE_OF_EACH, OPERATORS, camera, each, picture, run

NONLINEAR_BLUR = NonlinearBlur(Blur((1, 64, 64), {"type": "gaussian", "size": 9, "std": 1.5}))


def objective(operator: Operator, y: Tensor, x: Tensor, w: float) -> float:
    variation = gradient(x).abs().square().sum(0).sqrt().sum()
    return float(variation + (operator.A(x) - y).abs().square().sum() / (2 * w))


@each(*ONE_OF_EACH, "mri-complex", "deblur-given")
def test_for_a_linear_operator_it_is_total_variation(operator: Operator) -> None:
    x = picture(operator)  # type: ignore[arg-type]
    y = operator.A(x)
    w = 0.02 * operator.squared_norm(y)
    ours, theirs = (run(name, operator, y, fidelity=0.02, iterations=n) for name, n in (("gradient", 800), ("tv", 300)))
    assert objective(operator, y, ours, w) < 1.01 * objective(operator, y, theirs, w)


@pytest.mark.parametrize("noise", [0.0, 0.02])
@pytest.mark.parametrize("operator", [HDR((1, 64, 64)), NONLINEAR_BLUR], ids=lambda operator: operator.kind)
def test_it_lowers_its_objective_for_operators_that_are_not_linear(operator: Operator, noise: float) -> None:
    y = add_noise(operator.A(camera(64, 2)), noise, 0)
    start, end = operator.rough_inverse(y), run("gradient", operator, y, noise=noise, iterations=200)
    w = 3e-5 * operator.squared_norm(y) + 0.18 * noise * operator.squared_norm(y) ** 0.5
    assert objective(operator, y, end, w) < 0.9 * objective(operator, y, start, w)


@pytest.mark.parametrize("noise", [0.0, 0.02])
def test_it_sharpens(noise: float) -> None:
    x = camera(64, 2)
    y = add_noise(NONLINEAR_BLUR.A(x), noise, 0)
    assert psnr(run("gradient", NONLINEAR_BLUR, y, noise=noise), x) > psnr(y, x) + 1


def test_it_does_not_diverge_where_the_jacobian_grows() -> None:
    """Light of a dark picture: the response curve is steepest there."""
    operator = NonlinearBlur(Blur((1, 32, 32), {"type": "gaussian", "size": 9, "std": 1.5}))
    x = torch.zeros(1, 1, 32, 32)
    x[..., 10:20, 8:12] = 1
    y = operator.A(x)
    misfits = [float((operator.A(run("gradient", operator, y, iterations=n)) - y).norm()) for n in (50, 400)]
    assert misfits[1] < misfits[0] < 0.5 * float((operator.A(y) - y).norm())


def test_acceleration_arrives_sooner() -> None:
    """Steps that are not accelerated are ``x - J^T (A(x) - y) / |J|^2``; there is next to no total variation here."""
    y = NONLINEAR_BLUR.A(camera(64, 2))
    x, step = y, 1 / NONLINEAR_BLUR.squared_norm(y)
    for _ in range(100):
        at = NONLINEAR_BLUR.linearised(x)
        x = x - step * at.vjp(at.value - y)
    found = run("gradient", NONLINEAR_BLUR, y, iterations=100, fidelity=1e-7)
    assert (NONLINEAR_BLUR.A(found) - y).norm() < 0.5 * (NONLINEAR_BLUR.A(x) - y).norm()


def test_complex_images() -> None:
    operator = OPERATORS["mri-coils-complex"]
    found = run("gradient", operator, operator.A(picture(operator)), iterations=20)
    assert found.is_complex() and bool(found.isfinite().all())
