"""Hadamard patterns against the matrices that define them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.linalg import hadamard

from idmcli.errors import InputError
from idmcli.numerics.walsh_hadamard import dyadic, sequency
from idmcli.operators import Hadamard, MatrixOperator, build_operator
from idmcli.operators.hadamard import Order
from tests.small import OPERATORS, dense, picture, random

ONE_D = {"natural": np.arange(128), "sequency": sequency(128).numpy(), "dyadic": dyadic(128).numpy()}
TWO_D = {"sequency-2d": sequency, "dyadic-2d": dyadic}


def matrix(order: str, height: int, width: int) -> torch.Tensor:
    """The patterns, one in a row, unscaled, by SciPy and Kronecker's product."""
    if order in TWO_D:
        down, across = (hadamard(side)[TWO_D[order](side)] for side in (height, width))
        return torch.from_numpy(np.kron(down, across)).double()
    return torch.from_numpy(hadamard(height * width)[ONE_D[order]]).double()


@pytest.mark.parametrize("order", [*ONE_D, *TWO_D])
def test_every_order_against_the_dense_matrix(order: Order) -> None:
    camera = Hadamard((1, 8, 16), order=order)
    expected = MatrixOperator(matrix(order, 8, 16) / np.sqrt(128), (1, 8, 16))
    x = random(2, 1, 8, 16)
    torch.testing.assert_close(camera.A(x)[:, 0], expected.A(x))
    torch.testing.assert_close(dense(camera), dense(expected))


def test_natural_patterns_of_an_image_are_products_of_those_of_its_sides() -> None:
    torch.testing.assert_close(matrix("natural", 8, 16), torch.from_numpy(np.kron(hadamard(8), hadamard(16))).double())


def test_a_subset_comes_in_the_order_given() -> None:
    shown = torch.tensor([77, 0, 5])
    camera, x = Hadamard((1, 8, 16), shown, order="sequency"), random(1, 1, 8, 16)
    torch.testing.assert_close(camera.A(x), Hadamard((1, 8, 16), order="sequency").A(x)[..., shown])
    assert camera.measurement_shape == (1, 3) and camera.tight and camera.ratio == 3 / 128


def test_an_image_that_does_not_fill_its_patterns() -> None:
    camera, x = OPERATORS["hadamard-padded"], picture(OPERATORS["hadamard-padded"])
    field = torch.nn.functional.pad(x, (0, 5, 0, 1))
    torch.testing.assert_close(
        camera.A(x)[:, 0], (field.flatten(1) @ matrix("sequency-2d", 8, 16).T)[:, :40] / 128**0.5
    )
    assert camera.padded_shape == (1, 8, 16) and not camera.tight and camera.padded().tight


@pytest.mark.parametrize(
    ("patterns", "problem"),
    [
        (torch.tensor([0, 3, 0]), "listed twice"),
        (torch.tensor([0, 64]), "numbered from 0 to 64"),
        (torch.tensor([-1]), "numbered from -1"),
        (torch.tensor([1.0]), "float32"),
        (torch.tensor([], dtype=torch.int64), r"shape \(0,\)"),
        (torch.tensor([[1]]), r"shape \(1, 1\)"),
    ],
)
def test_patterns_that_are_none(patterns: torch.Tensor, problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        Hadamard((1, 8, 8), patterns)


def test_an_unknown_order() -> None:
    with pytest.raises(InputError, match="order of the patterns is 'walsh'"):
        Hadamard((1, 8, 8), order="walsh")  # type: ignore[arg-type]


def test_a_specification_that_does_not_fit_its_arrays() -> None:
    camera = OPERATORS["hadamard-colour"]
    with pytest.raises(InputError, match="has 4 patterns"):
        build_operator({**camera.to_spec(), "patterns": 4}, camera.arrays())
    with pytest.raises(InputError, match="'order'"):
        build_operator({**camera.to_spec(), "order": "walsh"}, camera.arrays())
