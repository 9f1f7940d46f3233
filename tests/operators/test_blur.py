"""Blur: its kernels, its boundaries, and what is left out where it leaves nothing."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import conv2d, pad

from idmcli.errors import InputError
from idmcli.operators import Blur, add_noise, blur
from idmcli.operators.convolution import (
    convolution_matrix,
    convolve,
    fast_length,
    mirrored_filter,
    mirrored_response,
)
from idmcli.operators.kernels import check_kernel, gaussian_kernel, motion_kernel
from idmcli.operators.spectra import LEAST_SINGULAR_VALUE
from tests.small import camera, dense, flat, random

GAUSSIAN = {"type": "gaussian", "size": 31, "std": 3.0}


def test_a_point_becomes_the_kernel() -> None:
    kernel = check_kernel(torch.rand(4, 3))
    x = torch.zeros(1, 1, 12, 11, dtype=torch.float64)
    x[..., 6, 5] = 1
    y = Blur((1, 12, 11), kernel).A(x)
    torch.testing.assert_close(y[0, 0, 4:8, 4:7], kernel)  # (6, 5) is where (2, 1) comes to lie
    torch.testing.assert_close(y.sum(), x.sum())


@pytest.mark.parametrize("boundary", ["reflect", "circular"])
@pytest.mark.parametrize("size", [(5, 5), (3, 7), (9, 1)])
def test_it_is_the_convolution_of_the_padded_image(boundary: str, size: tuple[int, int]) -> None:
    kernel, x = check_kernel(torch.rand(size, dtype=torch.float64)), random(2, 1, 14, 11)
    margins = (size[1] // 2, size[1] // 2, size[0] // 2, size[0] // 2)
    expected = conv2d(pad(x, margins, mode=boundary), kernel.flip(0, 1)[None, None])
    torch.testing.assert_close(convolve(x, kernel, boundary), expected)


@pytest.mark.parametrize("boundary", ["reflect", "circular"])
def test_a_line_as_a_matrix(boundary: str) -> None:
    """Also for kernels longer than the line."""
    for count in (4, 5, 40):
        kernel, x = torch.rand(count, dtype=torch.float64), random(1, 1, 9, 1)
        matrix = convolution_matrix(kernel, 9, boundary)
        torch.testing.assert_close(matrix @ x[0, 0], convolve(x, kernel[:, None], boundary)[0, 0])


def test_fast_lengths() -> None:
    assert [fast_length(n) for n in (1, 7, 11, 316, 1025)] == [1, 8, 12, 320, 1080]


@pytest.mark.parametrize("boundary", ["reflect", "circular"])
def test_what_the_blur_leaves_nothing_of_is_not_measured(boundary: str) -> None:
    """A Gaussian of three pixels kills the high frequencies: A+ keeps to those above the cut-off."""
    operator = Blur((1, 20, 24), GAUSSIAN, boundary=boundary)
    spectrum = operator.spectrum()
    assert spectrum is not None
    values = torch.linalg.svdvals(dense(operator))
    assert spectrum.values.shape[1] == (values > LEAST_SINGULAR_VALUE * values.max()).sum() < 240
    y = random(1, *operator.measurement_shape)
    back = operator.pinv(y)
    expected = torch.linalg.pinv(dense(operator), rtol=LEAST_SINGULAR_VALUE) @ flat(y)[0]
    torch.testing.assert_close(flat(back)[0], expected, rtol=1e-8, atol=1e-8)
    torch.testing.assert_close(operator.pinv(operator.A(back)), back)
    single = operator.pinv(operator.A(back).float())
    assert (single - back).norm() < 1e-3 * back.norm()


def test_the_regularised_inverse_weighs_noise() -> None:
    x, operator = camera(48), Blur((1, 48, 48), {"type": "gaussian", "size": 15, "std": 1.5})
    y = add_noise(operator.A(x), 0.02, 0)
    errors = [float((operator.prox(torch.full_like(x, 0.45), y, rho) - x).square().mean()) for rho in (1, 100, 1e8)]
    assert errors[1] < 0.7 * errors[0] and errors[1] < 0.1 * errors[2]


def test_gaussian_kernels() -> None:
    kernel = gaussian_kernel(61, 3.0)
    offsets = torch.arange(-30.0, 31, dtype=torch.float64)
    assert float(kernel.sum()) == pytest.approx(1) and torch.equal(kernel, kernel.T)
    assert float((kernel.sum(1) * offsets**2).sum()) == pytest.approx(9, rel=1e-6)
    assert float(kernel[30, 33] / kernel[30, 30]) == pytest.approx(0.60653, rel=1e-4)


def test_motion_kernels_come_from_the_seed_and_fit() -> None:
    kernels = [motion_kernel(31, 0.5, seed) for seed in range(30)]
    assert torch.equal(kernels[3], motion_kernel(31, 0.5, 3)) and not torch.equal(kernels[3], kernels[4])
    for kernel in kernels:
        assert kernel.shape == (31, 31) and bool((kernel >= 0).all())
        assert float(kernel.sum()) == pytest.approx(1)
        assert 15 <= int((kernel > 1e-6).sum()) <= 4 * 31


def spread(kernel: Tensor) -> Tensor:
    """The variances along the two main directions, the larger first."""
    rows, columns = (torch.arange(n, dtype=torch.float64) for n in kernel.shape)
    points = torch.cartesian_prod(rows, columns)
    weights = kernel.flatten()
    centred = points - (weights[:, None] * points).sum(0)
    return torch.linalg.eigvalsh(centred.T @ (weights[:, None] * centred)).flip(0)


def test_the_intensity_of_a_motion_bends_it() -> None:
    for seed in range(5):
        along, across = spread(motion_kernel(31, 0.0, seed))
        assert float(along) == pytest.approx(30**2 / 12, rel=0.02) and across < 0.3  # a line of 30 pixels
    bent = torch.stack([spread(motion_kernel(31, 0.5, seed)) for seed in range(20)]).mean(0)
    scribble = torch.stack([spread(motion_kernel(31, 1.0, seed)) for seed in range(20)]).mean(0)
    assert 30**2 / 12 > bent[0] > scribble[0] and bent[1] > 1


def test_one_pixel_is_no_blur() -> None:
    x = random(1, 1, 6, 5)
    for kernel in (gaussian_kernel(1, 2.0), motion_kernel(1, 0.5, 0), torch.tensor([[3.0]])):
        torch.testing.assert_close(Blur((1, 6, 5), kernel).A(x), x)


@pytest.mark.parametrize(
    ("kernel", "message"),
    [
        ({"type": "gaussian", "size": 4, "std": 1.0}, "size of the kernel is 4"),
        ({"type": "gaussian", "size": 5, "std": 0.0}, "standard deviation of the blur is 0.0"),
        ({"type": "motion", "size": 5, "std": 1.0}, "kernel type is 'motion'"),
        ({"type": "gaussian", "size": 5}, "no key 'std'"),
        (torch.zeros(3, 3), "zero, or negative"),
        (torch.tensor([[1.0, -0.1]]), "zero, or negative"),
        (torch.tensor([[1.0, float("nan")]]), "NaN"),
        (torch.ones(3), "has shape"),
        (torch.ones(0, 3), "has shape"),
        (torch.ones(1, 1002), "has shape"),
    ],
)
def test_kernels_that_are_none(kernel: Tensor | dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Blur((1, 8, 8), kernel)


def test_motions_and_boundaries_that_are_none() -> None:
    with pytest.raises(InputError, match="intensity"):
        motion_kernel(5, 1.5, 0)
    with pytest.raises(InputError, match="boundary is 'zero'"):
        Blur((1, 8, 8), torch.ones(3, 3), boundary="zero")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("rho", [50.0, 2000.0])
def test_long_pictures_take_few_preconditioned_iterations(
    monkeypatch: pytest.MonkeyPatch, rho: float, channels: int
) -> None:
    """The cube of the longest side is too much for a decomposition; the regularised inverse is the same without it."""
    shape, kernel = (channels, 60, 7), {"type": "gaussian", "size": 15, "std": 0.8}
    z, y = random(2, *shape), Blur(shape, kernel).A(random(2, *shape, seed=5))
    exact = Blur(shape, kernel).prox(z, y, rho)
    monkeypatch.setattr(blur, "LONGEST_DECOMPOSED", 59)
    long = Blur(shape, kernel)
    assert long.spectrum() is None
    error = (long.prox(z, y, rho) - exact).norm()
    assert error < 2e-3 * exact.norm()
    monkeypatch.setattr(Blur, "near_inverse", lambda self, r, rho: r)
    assert (long.prox(z, y, rho) - exact).norm() > 10 * error


@pytest.mark.parametrize("kernel", [gaussian_kernel(5, 0.8), torch.tensor([[0.0, 1, 0], [1, 4, 1], [0, 1, 0]])])
@pytest.mark.parametrize("size", [(9, 8), (1, 6), (2, 5)])
def test_the_preconditioner_is_symmetric_and_near(kernel: Tensor, size: tuple[int, int]) -> None:
    operator = Blur((1, *size), kernel)
    count, rho = size[0] * size[1], 30.0
    unit = torch.eye(count, dtype=torch.float64).view(count, 1, *size)
    near = flat(operator.near_inverse(unit, rho))
    torch.testing.assert_close(near, near.T)
    a = dense(operator)
    product = torch.linalg.eigvals(near @ (torch.eye(count) + rho * a.T @ a)).real
    assert product.min() > 1 / 16 and product.max() < 16
    if kernel.shape == (3, 3):
        inside = mirrored_filter(unit, mirrored_response(operator.kernel, size))
        torch.testing.assert_close(inside, operator.A(unit))


def test_kernels_that_are_not_symmetric_have_no_preconditioner() -> None:
    r = random(1, 1, 8, 7)
    for kernel, boundary in ((motion_kernel(5, 0.5, 0), "reflect"), (gaussian_kernel(5, 1.0), "circular")):
        assert Blur((1, 8, 7), kernel, boundary=boundary).near_inverse(r, 10.0) is r


def test_a_picture_of_5000_by_20_is_blurred_and_deblurred_without_its_cube(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a decomposition of 5000 x 5000")

    monkeypatch.setattr(torch.linalg, "svd", refuse)
    operator = Blur((1, 5000, 20), {"type": "gaussian", "size": 61, "std": 3.0})
    x = random(1, 1, 5000, 20, dtype=torch.float32)
    y = operator.A(x)
    found = operator.prox(torch.zeros_like(x), y, 1000.0)
    pull = 1000 * operator.AT(y)
    assert (found + 1000 * operator.normal(found) - pull).norm() < 1e-4 * pull.norm()
