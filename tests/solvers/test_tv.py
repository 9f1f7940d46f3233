"""Total variation: it lowers its objective, keeps edges, and weighs noise whatever its unit."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli import solvers
from idmcli.metrics import psnr
from idmcli.numerics.differences import gradient
from idmcli.operators import CompressedSensing, LinearOperator, ParallelBeamCT, Problem, add_noise, count_photons
from tests.small import ONE_OF_EACH, OPERATORS, camera, each, generator, picture, random, run


def objective(operator: LinearOperator, y: Tensor, w: float, x: Tensor) -> float:
    variation = gradient(x).abs().square().sum(0).sqrt().sum()
    return float(variation + (operator.A(x) - y).abs().square().sum() / (2 * w))


@each(*ONE_OF_EACH, "mri-complex")
def test_it_lowers_its_objective_to_that_of_the_truth(operator: LinearOperator) -> None:
    x = torch.zeros_like(picture(operator))
    x[..., 2:6, 3:7] = 1
    y = operator.A(x)
    w = 1e-3 * operator.gram(y).power_gain
    start, end = run("tikhonov", operator, y), run("tv", operator, y, fidelity=1e-3)
    assert objective(operator, y, w, end) < objective(operator, y, w, start)
    assert objective(operator, y, w, end) < 1.02 * objective(operator, y, w, x)  # the truth is nearly the minimum
    assert (operator.A(end) - y).abs().max() < 0.02 * y.abs().max()


@each("cs-global", "mri-coils", "ct")
@pytest.mark.parametrize("noise", [0.0, 0.5])
def test_it_finds_the_minimum(operator: LinearOperator, noise: float) -> None:
    """No small change lowers the objective, which is convex; step lengths change the way, not the end."""
    y = operator.A(picture(operator))
    gain = operator.gram(y).power_gain
    w = 1e-2 * gain + noise * 0.5 * gain**0.5
    exact: dict[str, float] = {"tolerance": 0.0, "iterations": 600, "fidelity": 1e-2}
    x = run("tv", operator, y, noise=noise, **exact)
    least = objective(operator, y, w, x)
    for seed in range(5):
        change = random(*x.shape, seed=seed)
        assert objective(operator, y, w, x + 1e-3 * change / change.norm()) > least * (1 - 1e-9)
    other = run("tv", operator, y, noise=noise, **{**exact, "primal_step": 0.03})
    assert objective(operator, y, w, other) == pytest.approx(least, rel=1e-3)


def test_it_stops_when_little_changes() -> None:
    operator, told = OPERATORS["ct"], []
    y, solver = operator.A(picture(operator)), solvers.find("tv")

    def steps(**options: float) -> int:
        told.clear()
        solver.run(Problem(operator, y), None, solver.options(**options), generator(), lambda k, n: told.append(k))
        assert told == list(range(1, len(told) + 1))
        return len(told)

    assert steps(tolerance=1e-2) < steps(tolerance=1e-3) < 300
    assert steps(tolerance=0.0, iterations=40) == 40


def test_few_views_of_a_phantom() -> None:
    """Where TV is known to be at its best: piecewise constant, far fewer rays than pixels."""
    x = torch.zeros(1, 1, 48, 48)
    x[..., 8:40, 12:36] = 0.5
    x[..., 16:24, 20:30] = 0.9
    operator = ParallelBeamCT((1, 48, 48), 12)
    y = operator.A(x)
    others = max(float(psnr(run(method, operator, y), x)) for method in ("fbp", "pinv", "tikhonov"))
    assert psnr(run("tv", operator, y), x) > others + 10
    noisy, sigma = count_photons(y, 1e4, 0.08, 0)
    others = max(float(psnr(run(method, operator, noisy, noise=sigma), x)) for method in ("fbp", "pinv", "tikhonov"))
    assert psnr(run("tv", operator, noisy, noise=sigma), x) > others + 3


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
