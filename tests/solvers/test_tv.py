"""Total variation: it lowers its objective, keeps edges, and weighs noise whatever its unit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.numerics.differences import gradient
from idmcli.operators import CompressedSensing, LinearOperator, add_noise
from tests.small import ONE_OF_EACH, camera, each, picture, run


@each(*ONE_OF_EACH, "mri-complex")
def test_it_lowers_its_objective_to_that_of_the_truth(operator: LinearOperator) -> None:
    x = torch.zeros_like(picture(operator))
    x[..., 2:6, 3:7] = 1
    y = operator.A(x)
    w = 1e-3 * operator.squared_norm(y)

    def objective(z: Tensor) -> float:
        variation = gradient(z).abs().square().sum(0).sqrt().sum()
        return float(variation + (operator.A(z) - y).abs().square().sum() / (2 * w))

    start, end = run("tikhonov", operator, y), run("tv", operator, y, iterations=120)
    assert objective(end) < objective(start)
    assert objective(end) < 1.02 * objective(x)  # the truth is nearly the minimum
    assert (operator.A(end) - y).abs().max() < 0.02 * y.abs().max()


def test_it_recovers_what_is_piecewise_constant() -> None:
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:20, 10:26] = 0.8
    operator = CompressedSensing((1, 32, 32), 0.4, block=16)
    y = operator.A(x)
    assert psnr(run("tv", operator, y), x) > max(35.0, float(psnr(run("tikhonov", operator, y), x)) + 10)


def test_noise_is_smoothed_when_it_is_known() -> None:
    x, operator = camera(48, 2), CompressedSensing((1, 48, 48), 0.8, block=16)
    y = add_noise(operator.A(x), 0.15, 0)
    assert psnr(run("tv", operator, y, noise=0.15), x) > psnr(run("tv", operator, y), x) + 3


class Louder(CompressedSensing):
    """Ten times the operator, and no more tight."""

    def __init__(self, image_shape: tuple[int, int, int], ratio: float, *, block: int) -> None:
        super().__init__(image_shape, ratio, block=block)
        self.tight = False

    def A(self, x: Tensor) -> Tensor:
        return 10 * super().A(x)

    def AT(self, y: Tensor) -> Tensor:
        return 10 * super().AT(y)

    def padded(self) -> Louder:
        return self


@pytest.mark.parametrize("method", ["tikhonov", "tv"])
def test_noise_of_another_unit_is_weighed_the_same(method: str) -> None:
    """Measurements and noise times ten, as by an operator with ten times the norm, give the same image."""
    plain, louder = CompressedSensing((1, 24, 24), 0.6, block=12), Louder((1, 24, 24), 0.6, block=12)
    y = add_noise(plain.A(camera(24, 2)), 0.1, 0)
    found = run(method, louder, 10 * y, noise=1.0)
    torch.testing.assert_close(found, run(method, plain, y, noise=0.1), rtol=0, atol=0.02)
