"""Reconstruction without learning, against dense linear algebra."""

from __future__ import annotations

import numpy as np
import pytest
import skimage.data
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, add_noise
from idmcli.solvers import classical

SIDE = 12
MASK = (torch.arange(SIDE * SIDE).reshape(SIDE, SIDE) * 7 % 5 < 3).float()
LINES = {"type": "equispaced", "acceleration": 2, "centre_fraction": 0.2}
OPERATORS = {
    "cs": CompressedSensing((1, SIDE, SIDE), 0.5, block=12),
    "cs padded": CompressedSensing((1, SIDE, SIDE), 0.5, block=8),
    "inpainting": Inpainting((1, SIDE, SIDE), MASK),
    "mri": MRI((1, SIDE, SIDE), LINES),
    "ct": ParallelBeamCT((1, SIDE, SIDE), 9),
}
each_operator = pytest.mark.parametrize("operator", OPERATORS.values(), ids=OPERATORS.keys())


def camera(side: int = 64) -> Tensor:
    pixels = skimage.data.camera()[128 : 128 + 2 * side : 2, 128 : 128 + 2 * side : 2]
    return torch.from_numpy(pixels / 255).float()[None, None]


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))


def dense(operator: LinearOperator) -> np.ndarray:
    """A as a real matrix; complex measurements count as two numbers."""
    basis = torch.eye(SIDE * SIDE, dtype=torch.float64).view(-1, 1, SIDE, SIDE)
    rows = operator.A(basis).flatten(1)
    rows = torch.view_as_real(rows).flatten(1) if rows.is_complex() else rows
    return rows.T.numpy()


def difference_matrix() -> np.ndarray:
    one = np.diff(np.eye(SIDE), axis=0)
    return np.concatenate([np.kron(one, np.eye(SIDE)), np.kron(np.eye(SIDE), one)])


def test_the_gradient_is_that_of_numpy_and_its_adjoint_is_exact() -> None:
    x, g = random(2, 3, 7, 5), random(2, 2, 3, 7, 5)
    np.testing.assert_array_equal(classical.gradient(x)[0, ..., :-1, :], np.diff(x.numpy(), axis=-2))
    np.testing.assert_array_equal(classical.gradient(x)[1, ..., :-1], np.diff(x.numpy(), axis=-1))
    left, right = (classical.gradient(x) * g).sum(), (x * classical.gradient_adjoint(g)).sum()
    torch.testing.assert_close(left, right, rtol=1e-12, atol=0)


def test_the_laplacian_is_d_transpose_d() -> None:
    x = random(1, 1, SIDE, SIDE)
    d = difference_matrix()
    np.testing.assert_allclose(classical.laplacian(x).numpy().ravel(), d.T @ d @ x.numpy().ravel(), atol=1e-12)
    assert not classical.laplacian(torch.ones(1, 1, 5, 6)).any()


@each_operator
def test_the_squared_norm(operator: LinearOperator) -> None:
    largest = np.linalg.svd(dense(operator), compute_uv=False)[0] ** 2
    y = operator.A(random(1, 1, SIDE, SIDE).abs())
    assert classical.squared_norm(operator, y) == pytest.approx(largest, rel=0.02)


def test_the_squared_norm_of_nothing_measured() -> None:
    operator = OPERATORS["ct"]
    assert classical.squared_norm(operator, torch.zeros(1, *operator.measurement_shape)) == 1.0


@each_operator
@pytest.mark.parametrize("noise", [0.0, 0.3])
def test_tikhonov_solves_its_normal_equations(
    operator: LinearOperator, noise: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(classical, "TIKHONOV_ITERATIONS", 300)
    y = operator.A(random(1, 1, SIDE, SIDE))
    a, d = dense(operator), difference_matrix()
    weight = 0.005 * classical.squared_norm(operator, y) + 20 * noise**2
    expected = np.linalg.solve(a.T @ a + weight * d.T @ d, operator.AT(y).numpy().ravel())
    found = classical.tikhonov(operator, y, noise=noise).numpy().ravel()
    np.testing.assert_allclose(found, expected, atol=2e-3 * np.abs(expected).max())


def test_thirty_iterations_are_enough_for_photographs() -> None:
    x = camera()
    operator = CompressedSensing((1, 64, 64), 0.3)
    y = operator.A(x)
    rough = classical.back_projection(operator, y)
    assert psnr(classical.tikhonov(operator, y), x) > psnr(rough, x) + 6


def total_variation_of(x: Tensor) -> float:
    return float(classical.gradient(x).square().sum(0).sqrt().sum())


@each_operator
def test_total_variation_lowers_its_objective(operator: LinearOperator) -> None:
    x = torch.zeros(1, 1, SIDE, SIDE)
    x[..., 3:9, 4:10] = 1
    y = operator.A(x)
    w = 1e-3 * classical.squared_norm(operator, y)

    def objective(z: Tensor) -> float:
        return total_variation_of(z) + float((operator.A(z) - y).abs().square().sum()) / (2 * w)

    start, end = classical.tikhonov(operator, y), classical.total_variation(operator, y)
    assert objective(end) < 0.96 * objective(start)
    assert objective(end) < 1.02 * objective(x)  # the truth is nearly the minimum
    assert (operator.A(end) - y).abs().max() < 0.01 * y.abs().max()


def test_total_variation_recovers_what_is_piecewise_constant() -> None:
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:20, 10:26] = 0.8
    operator = CompressedSensing((1, 32, 32), 0.4, block=16)
    y = operator.A(x)
    assert psnr(classical.total_variation(operator, y), x) > 35
    assert psnr(classical.total_variation(operator, y), x) > psnr(classical.tikhonov(operator, y), x) + 10


def test_noise_is_smoothed_when_it_is_known() -> None:
    x = camera(48)
    operator = CompressedSensing((1, 48, 48), 0.8, block=16)
    y = add_noise(operator.A(x), 0.15, 0)
    for method in (classical.tikhonov, classical.total_variation):
        assert psnr(method(operator, y, noise=0.15), x) > psnr(method(operator, y), x) + 3


def test_noise_of_another_unit_is_weighed_the_same() -> None:
    """Measurements and noise times ten, as by an operator with ten times the norm, give the same image."""

    class Louder(CompressedSensing):
        tight = False

        def __init__(self) -> None:
            super().__init__((1, 24, 24), 0.6, block=12)
            self.tight = False

        def A(self, x: Tensor) -> Tensor:
            return 10 * super().A(x)

        def AT(self, y: Tensor) -> Tensor:
            return 10 * super().AT(y)

        def padded(self) -> LinearOperator:
            return self

    plain, louder, x = CompressedSensing((1, 24, 24), 0.6, block=12), Louder(), camera(24)
    y = add_noise(plain.A(x), 0.1, 0)
    for method in (classical.tikhonov, classical.total_variation):
        torch.testing.assert_close(method(louder, 10 * y, noise=1.0), method(plain, y, noise=0.1), rtol=0, atol=0.02)


@pytest.mark.parametrize(("name", "rho"), [("cs", 0.7), ("cs padded", 2.0), ("ct", 0.02)])
def test_fitting_the_measurements(name: str, rho: float) -> None:
    operator, z = OPERATORS[name], random(1, 1, SIDE, SIDE)
    y, a = operator.A(random(1, 1, SIDE, SIDE).flip(2)), dense(operator)
    system = np.eye(SIDE * SIDE) + rho * a.T @ a
    expected = np.linalg.solve(system, z.numpy().ravel() + rho * a.T @ y.numpy().ravel())
    found = classical.fit_measurements(operator, y, z, rho).numpy().ravel()
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_complex_images() -> None:
    operator = MRI((1, 16, 16), torch.ones(16, 16), complex_image=True)
    x = torch.complex(torch.rand(1, 1, 16, 16), torch.rand(1, 1, 16, 16))
    for method in (classical.tikhonov, classical.total_variation):
        found = method(operator, operator.A(x))
        assert found.is_complex() and (found - x).abs().mean() < 0.1


def test_a_batch_is_reconstructed_image_by_image() -> None:
    operator = OPERATORS["ct"]
    y = operator.A(random(2, 1, SIDE, SIDE))
    both = classical.tikhonov(operator, y)
    torch.testing.assert_close(both[:1], classical.tikhonov(operator, y[:1]), rtol=0, atol=1e-4)
