"""Operators are values: moving one makes a copy."""

from __future__ import annotations

from functools import cached_property

import pytest
import torch
from torch import Tensor, nn

from idmcli.operators import Blur, LinearOperator, MatrixOperator, Scaled, Sum
from tests.small import COMPOSITES, LINEAR, OPERATORS, random


class Layered(LinearOperator):
    """An operator with a module inside, and something that it computes once."""

    image_shape = (1, 6, 6)
    measurement_shape = (1, 6, 6)

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(1, 1, 3, padding=1, bias=False)
        self.inside = nn.ModuleList([Blur((1, 6, 6), torch.ones(3, 3))])

    @cached_property
    def weight_sum(self) -> Tensor:
        return self.layer.weight.sum()

    def A(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x)
        return y

    def AT(self, y: Tensor) -> Tensor:
        return nn.functional.conv_transpose2d(y, self.layer.weight, padding=1)


MOVES = {
    "to": lambda operator: operator.to(torch.float64),
    "double": lambda operator: operator.double(),
    "float": lambda operator: operator.float(),
    "cpu": lambda operator: operator.cpu(),
    "nothing": lambda operator: operator.to("cpu"),
}


@pytest.mark.parametrize("move", MOVES)
@pytest.mark.parametrize("name", ["cs-global-padded", "deblur-gaussian", "mri-coils", "matrix", "stack", "product"])
def test_every_move_is_a_copy(name: str, move: str) -> None:
    operator = LINEAR[name]
    before = [(buffer, buffer.dtype) for buffer in operator.buffers()]
    moved = MOVES[move](operator)
    assert type(moved) is type(operator) and moved is not operator
    assert [(buffer, buffer.dtype) for buffer in operator.buffers()] == before
    if move in ("to", "double", "float"):
        wanted = torch.float32 if move == "float" else torch.float64
        assert all(buffer.dtype == wanted for buffer in moved.buffers() if buffer.is_floating_point())


def test_parts_and_modules_inside_are_copied_too() -> None:
    operator = Layered()
    moved = operator.double()
    assert moved.layer.weight.dtype == torch.float64 and operator.layer.weight.dtype == torch.float32
    assert moved.layer is not operator.layer and moved.inside[0] is not operator.inside[0]
    assert isinstance(moved.layer.weight, nn.Parameter)
    torch.testing.assert_close(moved.A(torch.ones(1, 1, 6, 6).double()).float(), operator.A(torch.ones(1, 1, 6, 6)))
    composite = COMPOSITES["stack"]
    moved_composite = composite.to("meta")
    assert all(buffer.is_meta for buffer in moved_composite.buffers())
    assert not any(buffer.is_meta for buffer in composite.buffers())


def test_what_is_computed_is_computed_again_where_the_tensors_differ() -> None:
    operator = Layered()
    assert operator.weight_sum.dtype == torch.float32
    assert operator.double().weight_sum.dtype == torch.float64
    blur = Blur((1, 12, 12), {"type": "gaussian", "size": 5, "std": 1.0})
    spectrum = blur.spectrum()
    assert blur.to("cpu").spectrum() is spectrum and blur.double().spectrum() is spectrum  # the kernel is double
    assert blur.float().spectrum() is not spectrum
    sensing = OPERATORS["cs-global-padded"]
    padded = sensing.padded()
    assert sensing.to("cpu").padded() is padded


def test_complex_tensors_stay_complex_and_integers_integers() -> None:
    operator = OPERATORS["mri-coils"].to(torch.float32)
    types = {name: buffer.dtype for name, buffer in operator.named_buffers()}
    assert types == {"mask": torch.bool, "index": torch.int64, "sensitivity": torch.complex64}
    assert all(buffer.is_meta for buffer in operator.to("meta", torch.float64).buffers())
    with pytest.raises(TypeError):
        operator.to(torch.int64)


def test_a_move_to_the_same_place_decomposes_no_matrix_again() -> None:
    operator = MatrixOperator(random(6, 16), (1, 4, 4))
    y = operator.A(random(1, 1, 4, 4))
    x = operator.pinv(y)
    moved = operator.to("cpu")
    assert vars(moved)["_singular"] is vars(operator)["_singular"] and torch.equal(moved.pinv(y), x)
    assert "_singular" not in vars(operator.float())
    scaled = (2 * operator).to("cpu")
    assert isinstance(scaled, Scaled) and vars(scaled.part)["_singular"] is vars(operator)["_singular"]


def test_parts_that_are_one_or_share_tensors() -> None:
    operator = MatrixOperator(random(6, 16), (1, 4, 4))
    total = operator + operator + 2 * operator.to("cpu")
    moved = total.float()
    assert isinstance(moved, Sum) and moved.parts[0] is moved.parts[1] and moved.parts[0] is not operator
    assert all(buffer.dtype == torch.float32 for buffer in moved.buffers())
    x = random(1, 1, 4, 4)
    torch.testing.assert_close(moved.A(x), 4 * operator.A(x), rtol=1e-5, atol=1e-5)
    assert torch.equal(total.to("cpu").A(x), total.A(x))
