"""Operators of two functions: what these may be, and what is wrong with them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators import LinearMap, stack
from tests.small import FUNCTIONS, columns_back, columns_in_numpy, dense, random, run

MATRIX = random(5, 12)


def forward(x: Tensor) -> Tensor:
    return MATRIX.to(x) @ x.flatten()


def adjoint(y: Tensor) -> Tensor:
    return (MATRIX.to(y).T @ y).view(1, 3, 4)


def of(forward: Any, adjoint: Any, **options: Any) -> LinearMap:
    return LinearMap(forward, adjoint, image_shape=(1, 3, 4), measurement_shape=(5,), **options)


def test_the_functions_are_called_with_one_tensor_each() -> None:
    shapes: list[tuple[int, ...]] = []
    operator = of(lambda x: (shapes.append(tuple(x.shape)), forward(x))[1], adjoint)
    x = random(3, 1, 3, 4)
    torch.testing.assert_close(operator.A(x), x.flatten(1) @ MATRIX.T)
    assert set(shapes) == {(1, 3, 4)}
    torch.testing.assert_close(dense(operator), MATRIX)
    assert operator.A(x[:0]).shape == (0, 5)


def test_numpy_functions_of_any_precision_give_the_precision_of_the_data() -> None:
    operator = of(
        lambda x: MATRIX.numpy() @ x.numpy().ravel(), lambda y: (MATRIX.numpy().T @ y.numpy()).reshape(1, 3, 4)
    )
    for dtype in (torch.float32, torch.float64):
        x = random(2, 1, 3, 4, dtype=dtype)
        assert operator.A(x).dtype == operator.AT(operator.A(x)).dtype == dtype


def test_results_may_be_views_that_cannot_be_written_to() -> None:
    frozen = np.broadcast_to(np.float32(1), (1, 3, 4))
    operator = of(lambda x: np.full(5, x.sum().item()), lambda y: frozen * y.sum().item())
    assert operator.A(torch.ones(1, 1, 3, 4)).tolist() == [[12.0] * 5]
    flipped = LinearMap(lambda x: x.numpy()[:, ::-1], lambda y: y.numpy()[:, ::-1], (1, 3, 4), (1, 3, 4))
    x = random(1, 1, 3, 4)
    assert torch.equal(flipped.A(x), x.flip(2))


def test_a_function_that_writes_to_its_input_does_no_harm() -> None:
    def squeeze(x: Tensor) -> Tensor:
        x *= 2
        return forward(x)

    operator = of(squeeze, lambda y: 2 * adjoint(y))
    x = random(1, 1, 3, 4)
    before = x.clone()
    operator.A(x)
    assert torch.equal(x, before)


def test_gradients_flow_through_functions_without_any() -> None:
    operator = FUNCTIONS["map"]
    x = random(1, *operator.image_shape).requires_grad_()
    (gradient,) = torch.autograd.grad(operator.A(x).square().sum(), x)
    torch.testing.assert_close(gradient, 2 * operator.normal(x.detach()))


@pytest.mark.parametrize("wrong", [lambda y: 1.01 * adjoint(y), lambda y: -adjoint(y), lambda y: adjoint(y.flip(0))])
def test_pairs_that_are_not_adjoint_are_refused_on_first_use(wrong: Any) -> None:
    operator = of(forward, wrong)
    for _ in range(2):  # until it is mended
        with pytest.raises(InputError, match=r"not the adjoint .* differ by \d\.\de[+-]\d\d of \|A u\| \|v\|"):
            operator.A(random(1, 1, 3, 4))
    with pytest.raises(InputError, match="is not the adjoint"):
        of(forward, wrong).AT(random(1, 5))


def test_large_operators_with_a_wrong_scale_are_refused_too() -> None:
    """Random vectors of many values are nearly orthogonal: their product alone would be small whatever the adjoint."""
    scaled = LinearMap(lambda x: 3 * x, lambda y: y, (1, 300, 300), (1, 300, 300))
    with pytest.raises(InputError, match="is not the adjoint"):
        scaled.A(torch.ones(1, 1, 300, 300))
    nearly = LinearMap(lambda x: 3 * x, lambda y: 3.0005 * y, (1, 300, 300), (1, 300, 300))  # 2e-4 of it
    assert nearly.A(torch.ones(1, 1, 300, 300)).mean() == 3


def test_the_check_is_made_once() -> None:
    calls: list[int] = []
    operator = of(lambda x: (calls.append(1), forward(x))[1], adjoint)
    operator.A(random(1, 1, 3, 4))
    first = len(calls)
    operator.A(random(1, 1, 3, 4))
    operator.to("cpu").A(random(1, 1, 3, 4))
    assert len(calls) == first + 2


@pytest.mark.parametrize(
    ("forward", "adjoint", "message"),
    [
        (lambda x: x, adjoint, r"forward function returns a result of shape \(1, 3, 4\), not \(5,\)"),
        (lambda x: forward(x)[None], adjoint, r"of shape \(1, 5\), not \(5,\)"),
        (forward, lambda y: MATRIX.T @ y.double(), r"adjoint function returns a result of shape \(12,\)"),
        (lambda x: forward(x).to(torch.complex64), adjoint, "forward function returns complex64 numbers, not real"),
        (lambda x: forward(x).long(), adjoint, "forward function returns int64 numbers, not real floating-point"),
        (lambda x: None, adjoint, "forward function returns NoneType"),
        (lambda x: forward(x) * float("nan"), adjoint, "differ by nan"),
    ],
)
def test_results_that_are_wrong(forward: Any, adjoint: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        of(forward, adjoint).A(random(1, 1, 3, 4))


def test_complex_numbers_have_to_be_complex() -> None:
    with pytest.raises(InputError, match="returns float64 numbers, not complex ones") as caught:
        of(forward, adjoint, complex_measurements=True).A(random(1, 1, 3, 4))
    assert "complex_measurements" in caught.value.hint


def test_shapes_that_are_none() -> None:
    with pytest.raises(InputError, match="the image shape is"):
        LinearMap(forward, adjoint, (3, 4), (5,))  # type: ignore[arg-type]
    with pytest.raises(InputError, match="the measurement shape is 5"):
        LinearMap(forward, adjoint, (1, 3, 4), 5)  # type: ignore[arg-type]


def test_functions_cannot_be_written_to_a_file() -> None:
    operator = of(forward, adjoint)
    for unsaved in (operator, 2 * operator, stack([operator, operator])):
        with pytest.raises(InputError, match="an operator of two functions cannot be written to a file") as caught:
            unsaved.to_spec()
        assert "MatrixOperator" in caught.value.hint
    with pytest.raises(InputError, match="the minimal operator cannot be written to a file") as caught:
        FUNCTIONS["minimal"].to_spec()
    assert "define to_spec" in caught.value.hint
    with pytest.raises(InputError, match="Minimal cannot be read from a file"):
        type(FUNCTIONS["minimal"]).from_spec({}, {})


def test_a_solver_takes_it() -> None:
    operator = LinearMap(columns_in_numpy, columns_back, (3, 7, 5), (3, 7, 4))
    x = random(1, 3, 7, 5)
    found = run("pinv", operator, operator.A(x))
    torch.testing.assert_close(operator.A(found), operator.A(x), rtol=1e-4, atol=1e-4)
