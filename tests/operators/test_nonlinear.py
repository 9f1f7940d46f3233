"""Operators that are not linear keep the contract of Operator: derivatives, specifications, copies, files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from idmcli import tasks
from idmcli.errors import InputError
from idmcli.measuring import Measurement, Provenance, load_measurement
from idmcli.operators import HDR, Blur, NonlinearBlur, Operator, build_operator
from idmcli.operators.nonlinear_blur import decode, encode
from tests.small import NONLINEAR, OPERATORS, generator, picture, random


@pytest.fixture(params=NONLINEAR)
def operator(request: pytest.FixtureRequest) -> Operator:
    return NONLINEAR[request.param]


def images(op: Operator, batch: int = 2, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(batch, *op.image_shape, dtype=dtype, generator=generator(10))


def test_it_is_not_linear(operator: Operator) -> None:
    x, z = images(operator)
    mean, mixed = (operator.A(t[None]) for t in ((x + z) / 2, x))
    assert (mean - (mixed + operator.A(z[None])) / 2).abs().max() > 0.01


def test_the_jacobian_is_that_of_finite_differences(operator: Operator) -> None:
    x, u, h = images(operator), random(2, *operator.image_shape, seed=11), 1e-6
    expected = (operator.A(x + h * u) - operator.A(x - h * u)) / (2 * h)
    torch.testing.assert_close(operator.linearised(x).jvp(u), expected, rtol=1e-6, atol=1e-7)


def test_the_two_products_are_adjoint(operator: Operator) -> None:
    x, u = images(operator), random(2, *operator.image_shape, seed=11)
    v = random(2, *operator.measurement_shape, seed=12)
    at = operator.linearised(x)
    forward, backward = (at.jvp(u) * v).sum(), (u * at.vjp(v)).sum()
    torch.testing.assert_close(forward, backward, rtol=1e-12, atol=1e-12)


def test_the_misfit_has_the_gradient_of_half_its_square(operator: Operator) -> None:
    x = images(operator).requires_grad_()
    y = operator.A(images(operator).flip(0)).detach()
    residual, gradient = operator.misfit(x.detach(), y)
    torch.testing.assert_close(residual, operator.A(x).detach() - y)
    (expected,) = torch.autograd.grad((operator.A(x) - y).square().sum() / 2, x)
    torch.testing.assert_close(gradient, expected)


def test_gradients_exist_twice_and_everywhere(operator: Operator) -> None:
    x = images(operator, 1).requires_grad_()
    assert torch.autograd.gradcheck(operator.A, x, fast_mode=True)
    assert torch.autograd.gradgradcheck(operator.A, x, fast_mode=True)
    for value in (-0.5, 0.0, 1.0, 2.0):
        at = torch.full_like(x, value).detach()
        assert operator.linearised(at).vjp(torch.ones_like(operator.A(at))).isfinite().all()


def test_products_do_not_need_gradients_to_be_recorded(operator: Operator) -> None:
    x, at = images(operator), operator.linearised(images(operator))
    with torch.no_grad():
        inside = operator.linearised(x)
        products = inside.jvp(x), inside.vjp(inside.value)
    for product, same in zip((*products, inside.value), (at.jvp(x), at.vjp(at.value), operator.A(x)), strict=True):
        assert torch.equal(product, same) and not product.requires_grad


def test_the_squared_norm_is_that_of_the_jacobian_at_the_start(operator: Operator) -> None:
    y = operator.A(picture(operator))
    jacobian = torch.autograd.functional.jacobian(operator.A, operator.rough_inverse(y))  # type: ignore[no-untyped-call]
    largest = float(torch.linalg.matrix_norm(jacobian.reshape(y.numel(), -1), 2)) ** 2
    assert 0.8 * largest < operator.squared_norm(y) <= largest * (1 + 1e-9)


@pytest.mark.parametrize("rho", [0.0, 0.7, 50.0])
def test_the_proximal_step_is_that_of_gauss_and_newton(operator: Operator, rho: float) -> None:
    """With the whole Jacobian J at z: ``z + (I + rho J^T J)^-1 rho J^T (y - A(z))``."""
    z, truth = images(operator, 2).split(1)
    y, n = operator.A(truth), z.numel()
    j = torch.autograd.functional.jacobian(operator.A, z).reshape(-1, n)  # type: ignore[no-untyped-call]
    right = rho * j.T @ (y - operator.A(z)).flatten()
    expected = z + torch.linalg.solve(torch.eye(n, dtype=z.dtype) + rho * j.T @ j, right).view_as(z)
    torch.testing.assert_close(operator.prox(z, y, rho, max_iterations=500), expected, rtol=0, atol=1e-4)


def test_a_weight_without_limit_meets_the_measurements(operator: Operator) -> None:
    other, truth = images(operator, 2, torch.float32).split(1)
    z, y = torch.lerp(truth, other, 0.1), operator.A(truth)
    met = operator.prox(z, y, float("inf"))
    assert (operator.A(met) - y).norm() < 0.2 * (operator.A(z) - y).norm()


def test_batches_precision_and_autocast(operator: Operator) -> None:
    x = images(operator, 3)
    y = operator.A(x)
    torch.testing.assert_close(y, torch.cat([operator.A(one[None]) for one in x]))
    torch.testing.assert_close(operator.A(x.float()), y.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(operator.A(x.float()), operator.A(x.float()))
        assert operator.A(x.float()).dtype == torch.float32


def test_wrong_tensors_are_refused(operator: Operator) -> None:
    x = images(operator)
    for function in (operator.A, operator.rough_inverse):
        for bad in (x[0], x[..., :-1]):
            with pytest.raises(InputError, match="of shape"):
                function(bad)
        with pytest.raises(InputError, match="float32"):
            function(x.bfloat16())


def test_spec_rebuilds_bit_for_bit(operator: Operator) -> None:
    spec = json.loads(json.dumps(operator.to_spec()))
    again = build_operator(spec, operator.arrays())
    assert type(again) is type(operator) and again.to_spec() == operator.to_spec()
    assert torch.equal(again.A(images(operator)), operator.A(images(operator)))
    for key, reason in (("gian", "unknown key 'gian'"), ("image_shape", "image shape")):
        with pytest.raises(InputError, match=reason):
            build_operator({**spec, key: [0]}, operator.arrays())
    with pytest.raises(InputError, match="no use for the array 'other'"):
        build_operator(spec, {**operator.arrays(), "other": torch.zeros(1)})


def test_a_measurement_file_holds_it(operator: Operator, tmp_path: Path) -> None:
    y = operator.A(images(operator, 1, torch.float32))
    source = Provenance("a.png", "0" * 64, "idm sense a.png")
    Measurement(operator, y[0], provenance=source).save(tmp_path / "a.safetensors")
    m = load_measurement(tmp_path / "a.safetensors")
    assert torch.equal(m.y, y[0]) and m.spec == operator.to_spec()
    assert torch.equal(m.operator.A(images(operator)), operator.A(images(operator)))
    assert m.amount == tasks.amount(operator)


def test_a_copy_elsewhere_leaves_the_operator_alone(operator: Operator) -> None:
    before = operator.A(images(operator))
    moved = operator.to("meta")
    assert type(moved) is type(operator) and moved is not operator
    assert all(buffer.is_meta for buffer in moved.buffers())
    assert not any(buffer.is_meta for buffer in operator.buffers())
    assert torch.equal(operator.A(images(operator)), before)


def test_operator_is_not_a_weight(operator: Operator) -> None:
    assert not operator.state_dict() and not list(operator.parameters())


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_cuda_agrees_with_cpu(operator: Operator) -> None:
    x, v = images(operator), random(2, *operator.measurement_shape)
    there = operator.to("cuda")
    torch.testing.assert_close(there.A(x.cuda()).cpu(), operator.A(x))
    torch.testing.assert_close(there.linearised(x.cuda()).vjp(v.cuda()).cpu(), operator.linearised(x).vjp(v))


def test_clipping_is_that_of_the_field_on_its_own_scale() -> None:
    """ReSample and its followers: clip(2 x, -1, 1) for images in [-1, 1]."""
    x = images(HDR((1, 8, 8)))[:, :1, :8, :8]
    torch.testing.assert_close(2 * HDR((1, 8, 8)).A(x) - 1, (2 * (2 * x - 1)).clamp(-1, 1))


def test_the_rough_inverse_takes_the_middle_of_what_was_clipped() -> None:
    x, operator = torch.linspace(0, 1, 64, dtype=torch.float64).view(1, 1, 8, 8), HDR((1, 8, 8))
    y = operator.A(x)
    found, kept = operator.rough_inverse(y), (y > 0) & (y < 1)
    torch.testing.assert_close(operator.A(found), y)
    torch.testing.assert_close(found[kept], x[kept])
    assert set(found[y == 0].tolist()) == {0.125} and set(found[y == 1].tolist()) == {0.875}


@pytest.mark.parametrize("gain", [0.5, float("inf"), float("nan"), True, "2"])
def test_gains_that_are_none(gain: object) -> None:
    with pytest.raises(InputError, match="the gain is"):
        HDR((1, 4, 4), gain)  # type: ignore[arg-type]


def test_the_camera_mixes_light() -> None:
    """g is nearly the power 1/2.2 of Nah et al.; flat pictures stay, a bright point spreads further than linearly."""
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    torch.testing.assert_close(encode(decode(x)), x)
    torch.testing.assert_close(decode(x), x**2.2, rtol=0, atol=0.01)
    blur = Blur((1, 15, 15), {"type": "gaussian", "size": 9, "std": 1.5})
    flat, point = torch.full((1, 1, 15, 15), 0.3), torch.zeros(1, 1, 15, 15)
    point[..., 7, 7] = 1
    torch.testing.assert_close(NonlinearBlur(blur).A(flat), flat)
    recorded, linear = NonlinearBlur(blur).A(point), blur.A(point)
    assert (recorded[linear > 1e-4] > 1.5 * linear[linear > 1e-4]).all()


@pytest.mark.parametrize("name", ["hdr", "hdr-gain", "deblur-gaussian", "nonlinear_deblur-circular"])
def test_an_unknown_number_makes_the_same_operator_again(name: str) -> None:
    operator = (OPERATORS | NONLINEAR)[name]
    assert operator.unknown is not None
    same, other = operator.with_unknown(operator.unknown), operator.with_unknown(1.5 * operator.unknown)
    x = picture(operator)
    assert torch.equal(same.A(x), operator.A(x)) and same.to_spec() == operator.to_spec()
    assert other.unknown == pytest.approx(1.5 * operator.unknown) and not torch.equal(other.A(x), operator.A(x))


def test_what_has_no_unknown_number() -> None:
    assert [name for name, operator in (OPERATORS | NONLINEAR).items() if operator.unknown is not None] == [
        "deblur-gaussian",
        "hdr",
        "hdr-gain",
        "nonlinear_deblur-circular",
    ]
    assert HDR((1, 4, 4)).with_unknown(0.5).unknown == 1.0  # the least gain that there is
