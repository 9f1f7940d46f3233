"""Every operator of the registry keeps the contract of LinearOperator."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli import tasks
from idmcli.errors import InputError
from idmcli.numerics.conjugate_gradient import conjugate_gradient
from idmcli.operators import Adjoint, LinearOperator, Operator, Scaled, build_operator
from idmcli.plugins import OPERATORS as REGISTRY
from tests.small import LINEAR, MATRICES, NONLINEAR, OPERATORS, SAVED, dense, flat, random

GIVEN = OPERATORS["deblur-given"]  # reflected, and no product of a column and a row
DTYPES = {torch.float32: 1e-5, torch.float64: 1e-11}


@pytest.fixture(params=LINEAR)
def operator(request: pytest.FixtureRequest) -> LinearOperator:
    return LINEAR[request.param]


@pytest.fixture(params=SAVED)
def saved(request: pytest.FixtureRequest) -> LinearOperator:
    return SAVED[request.param]


def images(op: LinearOperator, dtype: torch.dtype = torch.float64, batch: int = 2, seed: int = 10) -> Tensor:
    return random(batch, *op.image_shape, dtype=dtype.to_complex() if op.complex_image else dtype, seed=seed)


def measurements(op: LinearOperator, dtype: torch.dtype = torch.float64, batch: int = 2, seed: int = 20) -> Tensor:
    dtype = dtype.to_complex() if op.complex_measurements else dtype
    return random(batch, *op.measurement_shape, dtype=dtype, seed=seed)


def inner(a: Tensor, b: Tensor) -> Tensor:
    return (a.conj() * b).real.sum()


def relative(a: Tensor, b: Tensor) -> float:
    return float((a - b).norm() / b.norm())


def exact_pinv(op: LinearOperator, y: Tensor) -> Tensor:
    solution = op.solve(y, tolerance=1e-13, max_iterations=2000)
    assert solution.converged
    assert solution.residual <= 1e-13
    return solution.x


def test_every_kind_has_cases() -> None:
    elsewhere = {"learned"}  # tests/models/test_sampling_network.py: its matrix comes from a network
    assert {operator.kind for operator in (SAVED | NONLINEAR).values()} == set(REGISTRY.names()) - elsewhere
    in_tasks = {operator.kind for operator in (OPERATORS | MATRICES | NONLINEAR).values()}
    assert in_tasks - {"fan"} == set(tasks.kinds()) - elsewhere


@pytest.mark.parametrize("dtype", DTYPES)
def test_adjoint(operator: LinearOperator, dtype: torch.dtype) -> None:
    x, y = images(operator, dtype), measurements(operator, dtype)
    ax = operator.A(x)
    assert ax.shape == y.shape
    assert operator.AT(y).shape == x.shape
    gap = (inner(ax, y) - inner(x, operator.AT(y))).abs() / (ax.norm() * y.norm())
    assert gap <= DTYPES[dtype]


@pytest.mark.parametrize("dtype", DTYPES)
def test_linearity_dtype_and_normal(operator: LinearOperator, dtype: torch.dtype) -> None:
    x, z = images(operator, dtype), images(operator, dtype, seed=11)
    y = operator.A(x)
    assert y.dtype == measurements(operator, dtype).dtype
    assert operator.AT(y).dtype == x.dtype
    assert relative(operator.A(2 * x - 3 * z), 2 * y - 3 * operator.A(z)) <= DTYPES[dtype]
    assert relative(operator.normal(x), operator.AT(y)) <= DTYPES[dtype]


def test_single_precision_follows_double(operator: LinearOperator) -> None:
    x, y = images(operator), measurements(operator)
    x32, y32 = (t.to(torch.complex64 if t.is_complex() else torch.float32) for t in (x, y))
    assert relative(operator.A(x32).to(y.dtype), operator.A(x)) < 1e-6
    assert relative(operator.AT(y32).to(x.dtype), operator.AT(y)) < 1e-6


def test_pseudo_inverse(operator: LinearOperator) -> None:
    """The four Penrose conditions on random vectors."""
    x, z = images(operator), images(operator, seed=12)
    y, w = measurements(operator), measurements(operator, seed=21)
    together = torch.cat([y, w, operator.A(x), operator.A(z)])  # one solve, whose samples share nothing
    back, other, of_x, of_z = exact_pinv(operator, together).split(len(y))
    assert relative(operator.A(of_x), operator.A(x)) < 1e-9
    assert relative(exact_pinv(operator, operator.A(back)), back) < 1e-7
    scale = y.norm() * w.norm()
    assert (inner(operator.A(back), w) - inner(y, operator.A(other))).abs() / scale < 1e-9
    scale = x.norm() * z.norm()
    assert (inner(of_x, z) - inner(x, of_z)).abs() / scale < 1e-7


def test_tight_is_true(operator: LinearOperator) -> None:
    """``tight`` promises A A^T A = A; where it is not set, it would be wrong."""
    x = images(operator)
    gap = relative(operator.A(operator.normal(x)), operator.A(x))
    assert (gap < 1e-12) == operator.tight
    if operator.tight:
        assert operator.solve(operator.A(x)).iterations == 0


def test_projection_satisfies_the_measurements(operator: LinearOperator) -> None:
    y = operator.A(images(operator))
    start = images(operator, seed=13)
    exact = start - exact_pinv(operator, operator.A(start) - y)
    assert relative(operator.A(exact), y) < 1e-9
    closed_form = operator.solve(y).iterations == 0
    assert relative(operator.A(operator.project(start, y)), y) < (1e-12 if closed_form else 1e-2)
    x32, y32 = (t.to(torch.complex64 if t.is_complex() else torch.float32) for t in (start, y))
    assert relative(operator.A(operator.project(x32, y32)), y32) < (1e-5 if closed_form else 1e-2)


def test_batch_equals_singles(operator: LinearOperator) -> None:
    x, y = images(operator), measurements(operator)
    for function, values in ((operator.A, x), (operator.AT, y), (lambda t: exact_pinv(operator, t), y)):
        whole, singles = function(values), torch.cat([function(v[None]) for v in values])
        assert relative(whole, singles) < 1e-8
    assert operator.A(x[:1]).shape[0] == 1


def test_padded_operator_measures_the_padded_image(operator: LinearOperator) -> None:
    x = images(operator)
    padded = operator.padded()
    assert padded.image_shape == operator.padded_shape
    assert padded.padded() is padded
    assert torch.equal(padded.A(operator.pad(x)), operator.A(x))
    assert torch.equal(operator.crop(operator.pad(x)), x)
    assert torch.equal(operator.crop(padded.AT(operator.A(x))), operator.normal(x))
    assert operator.pad(x).shape[1:] == operator.padded_shape


def test_the_padded_operator_is_made_once(operator: LinearOperator) -> None:
    assert operator.padded() is operator.padded()


@pytest.mark.parametrize("weight", [0.0, 0.7, 20.0])
def test_prox_against_dense_algebra(operator: LinearOperator, weight: float) -> None:
    """The minimiser of |x - z|^2 + rho |A x - y|^2 solves (I + rho A^T A) x = z + rho A^T y."""
    z, y, a = images(operator, batch=1), measurements(operator, batch=1), dense(operator)
    rho = weight / float(torch.linalg.matrix_norm(a, 2)) ** 2
    expected = torch.linalg.solve(torch.eye(a.shape[1]) + rho * a.T @ a, flat(z)[0] + rho * a.T @ flat(y)[0])
    found = flat(operator.prox(z, y, rho, max_iterations=100))[0]
    pull = rho * a.T @ (flat(y)[0] - a @ flat(z)[0])  # conjugate gradients stop at 1e-5 of it
    assert (found - expected).norm() <= (1e-11 if operator.tight else 2e-5) * pull.norm()


def test_prox_goes_from_the_image_to_its_projection(operator: LinearOperator) -> None:
    z = images(operator)
    y = operator.A(images(operator, seed=13))
    assert torch.equal(operator.prox(z, y, 0.0), z)
    if operator.tight:
        assert relative(operator.prox(z, y, 1e9), operator.project(z, y)) < 1e-8


def test_the_squared_norm_is_the_largest_singular_value_squared(operator: LinearOperator) -> None:
    largest = float(torch.linalg.matrix_norm(dense(operator), 2)) ** 2
    found = operator.squared_norm(operator.A(images(operator).abs().to(images(operator).dtype)))
    if operator.padded().tight:
        assert found == 1.0 and largest <= 1 + 1e-9  # of the padded operator
    else:
        assert 0.93 * largest < found <= largest * (1 + 1e-6)


def test_the_gram_is_symmetric_and_positive_and_says_how_loud_the_operator_is(operator: LinearOperator) -> None:
    y, z = measurements(operator), measurements(operator, seed=22)
    gram = operator.gram(operator.A(images(operator)))
    assert bool((gram.values > 0).all())
    torch.testing.assert_close(gram.scaled(torch.ones_like(gram.values), y), y)
    torch.testing.assert_close(inner(gram.scaled(gram.values, y), z), inner(y, gram.scaled(gram.values, z)))
    torch.testing.assert_close(gram.scaled(1 / gram.values, gram.scaled(gram.values, y)), y)
    if operator.padded().tight:
        assert gram.power_gain == 1.0


def test_the_squared_norm_of_nothing_measured(operator: LinearOperator) -> None:
    found = operator.squared_norm(torch.zeros_like(measurements(operator)))
    factor = operator.factor if isinstance(operator, Scaled) else 1.0
    bare = operator.part if isinstance(operator, Scaled) else operator.H if isinstance(operator, Adjoint) else operator
    spectrum = None if bare.tight else bare.spectrum()
    assert found == factor**2 * (1.0 if spectrum is None else float(spectrum.values.max()) ** 2)


def test_spectrum_against_a_dense_decomposition(operator: LinearOperator) -> None:
    """A = U S V^T with orthogonal U and V."""
    operator = operator.padded()
    spectrum = operator.spectrum()
    bare = operator.part if isinstance(operator, Scaled) else operator
    spectral = ("cs", "hadamard", "inpainting", "deblur", "sr", "matrix")
    assert (spectrum is not None) == (bare.kind in spectral and operator is not GIVEN)
    if spectrum is None:
        return
    x, y, ax = images(operator), measurements(operator), operator.A(images(operator))
    coordinates, measured = spectrum.to_basis(x), spectrum.values.shape[1]
    torch.testing.assert_close(spectrum.from_basis(coordinates), x)
    torch.testing.assert_close(coordinates.norm(), x.norm())
    only = torch.cat([coordinates[..., :measured], 0 * coordinates[..., measured:]], 2)
    torch.testing.assert_close(spectrum.from_basis(coordinates[..., :measured]), spectrum.from_basis(only))
    torch.testing.assert_close(spectrum.to_range(ax), spectrum.values.to(x.real) * coordinates[..., :measured])
    torch.testing.assert_close(spectrum.to_range(ax).norm(), ax.norm())
    if spectrum.to_range(y).numel() == flat(y).numel():
        torch.testing.assert_close(spectrum.to_range(y).norm(), y.norm())
    values = spectrum.values.flatten().repeat_interleave(2 if operator.complex_image else 1)
    expected = torch.linalg.svdvals(dense(operator))
    torch.testing.assert_close(values.sort(descending=True)[0].to(expected), expected[: len(values)])
    assert not expected[len(values) :].numel() or expected[len(values) :].max() < 1e-9 * expected[0]


def test_mixing_spreads_the_error_over_the_image(operator: LinearOperator) -> None:
    """``A^T A x / gamma - x`` is as strong where x is dark; only permutations of all pixels promise that."""
    operator = operator.padded()
    bare = operator.part if isinstance(operator, Scaled) else operator
    assert operator.mixing == (bare.kind == "cs" and bare.to_spec()["permutation"] != "none")
    if operator.mixing and operator.ratio < 1 and operator is bare:
        x = torch.zeros_like(images(operator, batch=50))
        half = x.shape[2] // 2
        x[:, :, :half] = random(*x[:, :, :half].shape)
        error = (operator.normal(x) / operator.ratio - x).square()
        bright, dark = error[:, :, :half].mean(), error[:, :, half:].mean()
        assert 0.5 < dark / bright < 1.1  # the bright half adds its own pixels' part to the white one


def test_a_copy_elsewhere_leaves_the_operator_alone(operator: LinearOperator) -> None:
    x = images(operator)
    before, padded = operator.A(x), operator.padded()
    moved = operator.to("meta")
    assert type(moved) is type(operator) and moved is not operator
    assert all(buffer.is_meta for op in (moved, moved.padded()) for buffer in op.buffers())
    assert not any(buffer.is_meta for op in (operator, padded) for buffer in op.buffers())
    assert operator.padded() is padded and torch.equal(operator.A(x), before)


def test_spec_rebuilds_bit_for_bit(saved: LinearOperator) -> None:
    spec = json.loads(json.dumps(saved.to_spec()))
    again = build_operator(spec, saved.arrays())
    assert type(again) is type(saved)
    assert again.to_spec() == saved.to_spec()
    assert (again.image_shape, again.measurement_shape) == (saved.image_shape, saved.measurement_shape)
    assert (again.tight, again.ratio) == (saved.tight, saved.ratio)
    for dtype in DTYPES:
        assert torch.equal(again.A(images(saved, dtype)), saved.A(images(saved, dtype)))
        assert torch.equal(again.AT(measurements(saved, dtype)), saved.AT(measurements(saved, dtype)))


def test_checksums_are_optional_but_checked(saved: LinearOperator) -> None:
    spec = saved.to_spec()
    keys = [k for k in spec if k.endswith("_sha256") and spec[k]]
    bare = build_operator({k: v for k, v in spec.items() if k not in keys}, saved.arrays())
    assert bare.to_spec() == spec
    for key in keys:
        with pytest.raises(InputError, match="is not the one of the specification"):
            build_operator({**spec, key: "0" * 64}, saved.arrays())
        with pytest.raises(InputError) as caught:
            build_operator({**spec, key: "\x1b[31m"}, saved.arrays())
        assert caught.value.message.isprintable()


def test_bad_specs_name_the_key(saved: LinearOperator) -> None:
    spec, arrays = saved.to_spec(), saved.arrays()
    with pytest.raises(InputError, match="unknown key 'imageshape'") as caught:
        build_operator({**spec, "imageshape": 1}, arrays)
    assert "image_shape" in caught.value.hint
    with pytest.raises(InputError, match="no key 'image_shape'"):
        build_operator({k: v for k, v in spec.items() if k != "image_shape"}, arrays)
    for bad in ([1, 8], [1, 8, 0], [1, 8, True], [1, 8.5, 8]):
        with pytest.raises(InputError, match="image shape"):
            build_operator({**spec, "image_shape": bad}, arrays)
    with pytest.raises(InputError, match="image.shape.* is '1x8x8'|'image_shape' .* is '1x8x8'"):
        build_operator({**spec, "image_shape": "1x8x8"}, arrays)
    with pytest.raises(InputError, match="no use for the array 'other'"):
        build_operator(spec, {**arrays, "other": torch.zeros(1)})
    for name in arrays:
        with pytest.raises(InputError, match=f"needs the array '{name.split('.')[-1]}'"):
            build_operator(spec, {k: v for k, v in arrays.items() if k != name})
    for kind in ("spiral", None, 3, ["cs"]):
        with pytest.raises(InputError, match="operator kind"):
            build_operator({**spec, "kind": kind}, arrays)


def test_autograd_is_the_adjoint(operator: LinearOperator) -> None:
    x, y = images(operator).requires_grad_(), measurements(operator).requires_grad_()
    (grad,) = torch.autograd.grad(inner(operator.A(x), y.detach()), x)
    assert relative(grad, operator.AT(y).detach()) < 1e-12
    (grad,) = torch.autograd.grad(inner(operator.AT(y), x.detach()), y)
    assert relative(grad, operator.A(x).detach()) < 1e-12


def test_gradcheck(operator: LinearOperator) -> None:
    x, y = images(operator, batch=1), measurements(operator, batch=1)
    fast = {"fast_mode": True}
    assert torch.autograd.gradcheck(operator.A, x.requires_grad_(), **fast)
    assert torch.autograd.gradcheck(operator.AT, y.requires_grad_(), **fast)
    assert torch.autograd.gradgradcheck(operator.normal, x, **fast)


def test_pseudo_inverse_differentiates(operator: LinearOperator) -> None:
    """The gradient of <A+ y, x> in y is (A+)^T x = A (A^T A)+ x, for x in the row space."""
    x, y = operator.normal(images(operator, seed=14)), operator.A(images(operator)).requires_grad_()
    back = operator.solve(y, tolerance=1e-12, max_iterations=2000).x
    (grad,) = torch.autograd.grad(inner(back, x), y)
    expected = conjugate_gradient(operator.normal, x, tolerance=1e-12, max_iterations=2000)
    assert relative(grad, operator.A(expected.x)) < 1e-6


def test_the_jacobian_is_the_operator(operator: LinearOperator) -> None:
    """The products that any operator has, by automatic differentiation, are A and its adjoint for a linear one."""
    x, u, v = images(operator), images(operator, seed=15), measurements(operator)
    exact, automatic = operator.linearised(x), Operator.linearised(operator, x)
    assert torch.equal(exact.jvp(u), operator.A(u)) and torch.equal(exact.vjp(v), operator.AT(v))
    assert torch.equal(exact.value, operator.A(x)) and torch.equal(automatic.value, exact.value)
    assert relative(automatic.jvp(u), operator.A(u)) < 1e-12
    assert relative(automatic.vjp(v), operator.AT(v)) < 1e-12


def test_the_rough_inverse_needs_no_inverse(operator: LinearOperator) -> None:
    y = operator.A(images(operator))
    found = operator.rough_inverse(y)
    assert relative(found * operator.squared_norm(y), operator.AT(y)) < 1e-12
    assert (operator.A(found) - y).norm() < y.norm()


def test_autocast_does_not_reach_the_operator(operator: LinearOperator) -> None:
    x, y = images(operator, torch.float32), measurements(operator, torch.float32)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = operator.A(x), operator.AT(y)
    assert torch.equal(inside[0], operator.A(x))
    assert torch.equal(inside[1], operator.AT(y))
    spectrum = operator.spectrum()
    if spectrum is not None:
        coordinates = spectrum.to_basis(x)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.equal(spectrum.to_basis(x), coordinates)
            assert spectrum.to_range(y).dtype == spectrum.from_basis(coordinates).dtype == x.dtype


def test_wrong_tensors_are_refused(operator: LinearOperator) -> None:
    x, y = images(operator), measurements(operator)
    for function, values in ((operator.A, x), (operator.AT, y)):
        for bad in (values[0], values[..., :-1], values[None]):
            with pytest.raises(InputError, match="of shape"):
                function(bad)
        with pytest.raises(InputError, match="float32|complex64"):
            function(torch.zeros(values.shape, dtype=torch.bfloat16))
        with pytest.raises(InputError, match="as tensors, not ndarray"):
            function(values.numpy())  # type: ignore[arg-type]


def test_zero_measurements(operator: LinearOperator) -> None:
    solution = operator.solve(torch.zeros_like(measurements(operator)))
    assert solution.converged
    assert not solution.x.any()


def test_operator_is_not_a_weight(operator: LinearOperator) -> None:
    assert not operator.state_dict()
    assert not list(operator.parameters())
    x = images(operator)
    assert relative(operator.double().A(x), operator.A(x)) < 1e-6


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", DTYPES)
def test_cuda_agrees_with_cpu(operator: LinearOperator, dtype: torch.dtype) -> None:
    x, y = images(operator, dtype), measurements(operator, dtype)
    expected = operator.A(x), operator.AT(y)
    on_gpu = operator.to("cuda")
    assert relative(on_gpu.A(x.cuda()).cpu(), expected[0]) <= DTYPES[dtype]
    assert relative(on_gpu.AT(y.cuda()).cpu(), expected[1]) <= DTYPES[dtype]
    assert on_gpu.padded().A(on_gpu.pad(x.cuda())).device.type == "cuda"
    assert on_gpu.project(x.cuda(), on_gpu.A(x.cuda())).device.type == "cuda"


def test_spec_is_plain_json(saved: LinearOperator) -> None:
    """The specification holds plain JSON types only, at every depth."""

    def plain(value: object) -> bool:
        if isinstance(value, dict):
            return all(isinstance(k, str) and plain(v) for k, v in value.items())
        if isinstance(value, list):
            return all(plain(v) for v in value)
        return value is None or type(value) in (str, int, float, bool)

    assert plain(saved.to_spec())
    assert not isinstance(saved.ratio, np.generic)
