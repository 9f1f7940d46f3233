"""Operators by their kind, also those that other packages bring."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idmcli.errors import ConfigError, InputError
from idmcli.measuring import Measurement, load_measurement
from idmcli.operators import LinearOperator, build_operator
from idmcli.plugins import OPERATORS
from tests.distributions import install, use

SOURCE = '''
import torch

from idmcli.operators import LinearOperator, Specification
from idmcli.operators.checks import check_image_shape
from idmcli.operators.stored import check_arrays


class RowsSpecification(Specification):
    every: int


class Rows(LinearOperator):
    """Every so-many-th row of an image, times a number for each column."""

    kind = "my-rows"

    def __init__(self, image_shape, every, weights):
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        self.every = every
        self.measurement_shape = (channels, -(-height // every), width)
        self.register_buffer("weights", weights, persistent=False)

    def A(self, x):
        return x[:, :, :: self.every] * self.weights.to(x)

    def AT(self, y):
        x = y.new_zeros(len(y), *self.image_shape)
        x[:, :, :: self.every] = y * self.weights.to(y)
        return x

    def arrays(self):
        return {"weights": self.weights}

    def to_spec(self):
        return {"kind": self.kind, "image_shape": list(self.image_shape), "every": self.every}

    @classmethod
    def from_spec(cls, spec, arrays):
        read = RowsSpecification.read(spec)
        check_arrays(read.kind, arrays, ["weights"])
        return cls(read.image_shape, read.every, arrays["weights"])


NO_OPERATOR = 3
'''


@pytest.mark.parametrize("kind", OPERATORS.names())
def test_every_kind_of_idm_is_that_of_its_class(kind: str) -> None:
    assert OPERATORS.find(kind).kind == kind


def test_an_operator_of_another_package_is_saved_and_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(install(tmp_path / "site", "my_package", SOURCE, {"idmcli.operators": {"my-rows": "Rows"}}), monkeypatch)
    assert OPERATORS.others() == {"my-rows": "my_package:Rows"} and "my-rows" in OPERATORS.names()
    spec = {"kind": "my-rows", "image_shape": [1, 9, 6], "every": 2}
    operator = build_operator(spec, {"weights": torch.arange(1.0, 7)})
    assert isinstance(operator, LinearOperator) and type(operator).__module__ == "my_package"
    y = operator.A(torch.rand(1, 1, 9, 6))
    path = tmp_path / "m.safetensors"
    Measurement(operator, y[0]).save(path)
    m = load_measurement(path)
    assert type(m.operator) is type(operator) and m.spec == spec and torch.equal(m.y, y[0])
    assert torch.equal(m.operator.A(torch.ones(1, 1, 9, 6)), operator.A(torch.ones(1, 1, 9, 6)))
    assert m.amount.text == "55.6 % measurements per pixel"
    with pytest.raises(InputError, match="the my-rows specification has an unknown key 'evry'") as caught:
        build_operator({**spec, "evry": 1}, {})
    assert caught.value.hint == "did you mean 'every'?"
    combined = 2 * operator + operator
    again = build_operator(combined.to_spec(), combined.arrays())
    assert torch.equal(again.A(torch.ones(1, 1, 9, 6)), combined.A(torch.ones(1, 1, 9, 6)))


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("Missing", "'mine' of my_package:Missing cannot be loaded: AttributeError"),
        ("NO_OPERATOR", "is no Operator"),
    ],
)
def test_packages_whose_operators_cannot_be_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, attribute: str, message: str
) -> None:
    use(install(tmp_path / "site", "my_package", SOURCE, {"idmcli.operators": {"mine": attribute}}), monkeypatch)
    with pytest.raises(ConfigError, match=message):
        build_operator({"kind": "mine"})


def test_unknown_kinds_list_the_known_ones() -> None:
    for kind in ("cone", None, 3, ["cs"]):
        with pytest.raises(InputError, match="the operator kind is") as caught:
            build_operator({"kind": kind})
        assert all(known in caught.value.hint for known in OPERATORS.names())
