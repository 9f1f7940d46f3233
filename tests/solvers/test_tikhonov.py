"""Tikhonov regularisation, against dense linear algebra."""

from __future__ import annotations

import pytest
import torch

from idmcli.metrics import psnr
from idmcli.numerics.differences import laplacian
from idmcli.operators import CompressedSensing, LinearOperator, add_noise
from tests.small import ONE_OF_EACH, OPERATORS, camera, dense, each, flat, picture, run


@each(*ONE_OF_EACH)
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_it_solves_its_normal_equations(operator: LinearOperator, noise: float) -> None:
    y, a = operator.A(picture(operator)), dense(operator)
    basis = torch.eye(a.shape[1], dtype=torch.float64).view(-1, *operator.image_shape)
    weight = 0.01 * operator.gram(y).power_gain + 7 * noise**2
    expected = torch.linalg.solve(a.T @ a + weight * flat(laplacian(basis)), a.T @ flat(y)[0])
    found = run("tikhonov", operator, y, noise=noise, weight=0.01, noise_weight=7.0, iterations=300)
    assert (flat(found)[0] - expected).norm() < 2e-3 * expected.norm()


def test_thirty_iterations_are_enough_for_photographs() -> None:
    x, operator = camera(64, 2), CompressedSensing((1, 64, 64), 0.3)
    y = operator.A(x)
    short, long = run("tikhonov", operator, y), run("tikhonov", operator, y, iterations=300)
    assert psnr(short, x) > psnr(long, x) - 0.2
    assert psnr(short, x) > psnr(run("pinv", operator, y), x) + 6


def test_noise_is_smoothed_when_it_is_known() -> None:
    x, operator = camera(48, 2), CompressedSensing((1, 48, 48), 0.8, block=16)
    y = add_noise(operator.A(x), 0.15, 0)
    assert psnr(run("tikhonov", operator, y, noise=0.15), x) > psnr(run("tikhonov", operator, y), x) + 3


def test_complex_images() -> None:
    operator = OPERATORS["mri-complex"]
    x = picture(operator)
    found, rough = (run(method, operator, operator.A(x)) for method in ("tikhonov", "pinv"))
    assert found.is_complex() and (found - x).norm() < (rough - x).norm()


def test_a_batch_is_reconstructed_image_by_image() -> None:
    operator = OPERATORS["ct"]
    y = operator.A(picture(operator, 2))
    alone = torch.cat([run("tikhonov", operator, one) for one in y.split(1)])
    torch.testing.assert_close(run("tikhonov", operator, y), alone, rtol=0, atol=5e-3)
