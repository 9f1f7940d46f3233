"""What a class of one's own gets from the contract: a name, checks, and its precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators import HDR, Blur, LinearOperator
from tests.small import FUNCTIONS, Minimal, MinimalComplex, random


class Renamed(Blur):
    """A class of a named kind keeps that name."""


class Twice(Minimal):
    """It calls the method of the class before it, and says its shapes as lists."""

    kind = "twice"
    image_shape = [1, 8, 6]  # type: ignore[assignment]
    measurement_shape = [33]  # type: ignore[assignment]

    def A(self, x: Tensor) -> Tensor:
        return 2 * super().A(x)

    def AT(self, y: Tensor) -> Tensor:
        return 2 * super().AT(y)


def test_the_kind_is_the_name_of_the_class_unless_it_is_set() -> None:
    assert (Minimal.kind, Minimal().kind, MinimalComplex.kind) == ("minimal", "minimal", "minimalcomplex")
    assert (Renamed.kind, Twice.kind, LinearOperator.kind) == ("deblur", "twice", "linearoperator")


def test_nothing_has_to_be_said_that_is_the_default() -> None:
    operator = Minimal()
    assert not operator.tight and not operator.mixing and not operator.complex_image and operator.unknown is None
    assert operator.padded() is operator and operator.padded_shape == operator.image_shape
    assert operator.spectrum() is None and operator.ratio == 33 / 48


def test_shapes_may_be_lists_and_methods_call_each_other() -> None:
    x, y = random(2, 1, 8, 6), random(2, 33)
    torch.testing.assert_close(Twice().A(x), 2 * Minimal().A(x))
    torch.testing.assert_close(Twice().pinv(y), Minimal().pinv(y) / 2, rtol=1e-3, atol=1e-3)
    with pytest.raises(InputError, match=r"the twice operator takes measurements of shape \(batch, 33\)"):
        Twice().AT(y[:, 1:])


def test_operators_work_on_tensors_without_values() -> None:
    for operator in (HDR((1, 8, 6)), FUNCTIONS["minimal"]):
        assert operator.A(torch.zeros(1, 1, 8, 6, device="meta")).device.type == "meta"
