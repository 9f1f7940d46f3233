"""Operators made of others against dense matrices, their closed forms, what does not fit, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.measuring import Measurement, Provenance, load_measurement
from idmcli.measuring.file import Stored, read_stored, write_stored
from idmcli.operators import (
    HDR,
    MRI,
    Adjoint,
    Blur,
    Inpainting,
    LinearOperator,
    MatrixOperator,
    Product,
    Scaled,
    Stack,
    Sum,
    SuperResolution,
    build_operator,
    stack,
)
from idmcli.solvers import suitable
from tests.small import COMPOSITES, LINEAR, OPERATORS, asymmetric_mask, dense, random

BLUR = Blur((1, 8, 6), {"type": "gaussian", "size": 3, "std": 0.8})
OTHER = Blur((1, 8, 6), torch.ones(3, 1), boundary="circular")
SOME = Inpainting((1, 8, 6), asymmetric_mask(8, 6))
SMALLER = SuperResolution((1, 8, 6), 2)
KSPACE = MRI((1, 8, 6), asymmetric_mask(8, 6))
COMPLEX = MRI((1, 8, 6), asymmetric_mask(8, 6), complex_image=True)


def test_combinations_against_dense_matrices() -> None:
    a, b = dense(BLUR), dense(OTHER)
    for combined, expected in (
        (BLUR @ OTHER, a @ b),
        (BLUR + OTHER, a + b),
        (BLUR - OTHER, a - b),
        (2.5 * BLUR, 2.5 * a),
        (BLUR * -2, -2 * a),
        (-BLUR, -a),
        (BLUR.H, a.T),
        (SMALLER.H @ SMALLER, dense(SMALLER).T @ dense(SMALLER)),
        (stack([SMALLER, SOME]), torch.cat([dense(SMALLER), dense(SOME)])),
        (BLUR @ (OTHER + 0.5 * BLUR) - OTHER.H, a @ (b + 0.5 * a) - b.T),
        (KSPACE @ BLUR, dense(KSPACE) @ a),
        (KSPACE.H @ KSPACE, dense(KSPACE).T @ dense(KSPACE)),
    ):
        torch.testing.assert_close(dense(combined), expected)
        torch.testing.assert_close(dense(combined.H), expected.T)


@pytest.mark.parametrize("factor", [2, 2.0, np.float64(2), np.float32(2), np.int64(2)])
def test_numbers_of_python_and_numpy_are_factors(factor: Any) -> None:
    for scaled in (factor * BLUR, BLUR * factor):
        assert isinstance(scaled, Scaled) and scaled.factor == 2.0 and type(scaled.factor) is float


def test_what_is_none_of_them_is_a_type_error() -> None:
    x: Any = torch.ones(1, 1, 8, 6)
    hdr: Any = HDR((1, 8, 6))
    for wrong in (
        lambda: BLUR @ x,
        lambda: BLUR + 1,  # type: ignore[operator]
        lambda: BLUR - "a",  # type: ignore[operator]
        lambda: BLUR * "a",  # type: ignore[operator]
        lambda: BLUR @ hdr,
        lambda: True * BLUR,
        lambda: 1j * BLUR,  # type: ignore[operator]
    ):
        with pytest.raises(TypeError):
            wrong()


def test_chains_are_flat_and_doubles_undone() -> None:
    chain, total = BLUR @ OTHER @ BLUR, BLUR + OTHER - BLUR
    assert isinstance(chain, Product) and len(chain.parts) == 3
    assert isinstance(total, Sum) and len(total.parts) == 3
    twice = 2 * (3 * BLUR)
    assert isinstance(twice, Scaled) and twice.part is BLUR and twice.factor == 6
    assert BLUR.H.H is BLUR and isinstance(BLUR.H, Adjoint)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BLUR @ SMALLER, r"the sr operator gives real numbers of shape \(1, 4, 3\), and the deblur operator"),
        (lambda: SMALLER @ SMALLER, r"takes real numbers of shape \(1, 8, 6\)"),
        (lambda: BLUR @ KSPACE.H @ BLUR, r"and the adjoint operator takes complex numbers of shape \(1, "),
        (lambda: BLUR + SMALLER, "the parts of a sum differ: the deblur operator has real numbers of shape"),
        (lambda: KSPACE + COMPLEX, r"has real numbers of shape \(1, 8, 6\), and the mri operator complex numbers"),
        (lambda: SOME + KSPACE, "the parts of a sum differ"),
        (lambda: stack([BLUR, OPERATORS["sr"]]), "the parts of a stack differ"),
        (lambda: stack([SOME, KSPACE]), "the inpainting operator has real measurements, and the mri operator complex"),
        (lambda: stack([]), "a stack of no operators"),
        (lambda: Product(), "a product of no operators"),
        (lambda: stack([BLUR, HDR((1, 8, 6))]), "hdr is no linear operator"),  # type: ignore[list-item]
        (lambda: 0 * BLUR, "the factor of an operator is 0"),
        (lambda: float("nan") * BLUR, "the factor of an operator is nan"),
        (lambda: float("inf") * BLUR, "the factor of an operator is inf"),
    ],
)
def test_what_does_not_fit_is_said_when_it_is_built(make: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        make()


def test_a_stack_gives_its_parts_back() -> None:
    both = stack([SMALLER, SOME])
    x = random(2, 1, 8, 6)
    parts = both.split(both.A(x))
    assert torch.equal(parts[0], SMALLER.A(x)) and torch.equal(parts[1], SOME.A(x))
    assert isinstance(both, Stack) and both.measurement_shape == (12 + SOME.measurement_shape[1],)


@pytest.mark.parametrize("factor", [-3.0, 0.5])
@pytest.mark.parametrize(
    "operator",
    [LINEAR[name] for name in ("cs-global", "inpainting-random", "mri-radial", "mri-complex", "sr", "matrix")],
)
def test_a_multiple_has_the_closed_forms_of_its_part(operator: LinearOperator, factor: float) -> None:
    scaled, y = factor * operator, operator.A(random(1, *operator.image_shape).to(_dtype(operator)))
    found = scaled.solve(factor * y)
    assert found.iterations == 0
    torch.testing.assert_close(found.x, operator.pinv(y))
    z = random(1, *operator.image_shape, seed=3).to(_dtype(operator))
    torch.testing.assert_close(scaled.prox(z, factor * y, 0.3), operator.prox(z, y, 0.3 * factor**2))
    assert scaled.squared_norm(y) == pytest.approx(factor**2 * operator.squared_norm(y))
    assert scaled.gram(y).power_gain == pytest.approx(factor**2 * operator.gram(y).power_gain)
    assert ((-1 * operator).tight, scaled.tight) == (operator.tight, False)
    assert set(suitable(operator)) - set(suitable(scaled)) <= {"vamp"}


def _dtype(operator: LinearOperator) -> torch.dtype:
    return torch.complex128 if operator.complex_image else torch.float64


def test_a_multiple_of_a_padded_operator_is_solved_on_the_padded_domain() -> None:
    scaled, padded = COMPOSITES["scaled-padded"], COMPOSITES["scaled-padded"].padded()
    assert isinstance(padded, Scaled) and padded.part.tight and padded.image_shape == scaled.padded_shape
    assert scaled.padded() is padded and "ddrm" in suitable(scaled)


def test_the_adjoint_of_a_tight_operator_is_solved_by_it() -> None:
    x = random(1, *SOME.measurement_shape)
    assert SOME.H.tight and SOME.H.solve(SOME.H.A(x)).iterations == 0
    torch.testing.assert_close(SOME.H.pinv(SOME.H.A(x)), x)


def test_copies_leave_the_parts_alone() -> None:
    chain = COMPOSITES["product"]
    moved = chain.to("meta")
    assert isinstance(chain, Product) and isinstance(moved, Product)
    assert all(one is not other for one, other in zip(chain.parts, moved.parts, strict=True))
    assert not any(buffer.is_meta for part in chain.parts for buffer in part.buffers())


@pytest.mark.parametrize("name", COMPOSITES)
def test_a_measurement_file_holds_it(name: str, tmp_path: Path) -> None:
    operator = COMPOSITES[name]
    x = random(1, *operator.image_shape, dtype=torch.float32)
    y = operator.A(x.to(torch.complex64) if operator.complex_image else x)
    Measurement(operator, y[0], provenance=Provenance("idm", "a", "0" * 64)).save(tmp_path / "m.safetensors")
    again = load_measurement(tmp_path / "m.safetensors").operator
    assert type(again) is type(operator) and again.to_spec() == operator.to_spec()
    torch.testing.assert_close(dense(again), dense(operator), rtol=0, atol=0)  # type: ignore[arg-type]


def test_arrays_are_named_after_their_part() -> None:
    nested = stack([SOME, 2 * (MatrixOperator(random(3, 48), (1, 8, 6)))])
    assert sorted(nested.arrays()) == ["0.mask", "1.0.matrix"]
    with pytest.raises(InputError, match="the stack specification has no use for the array '2.mask'"):
        build_operator(nested.to_spec(), {**nested.arrays(), "2.mask": SOME.mask})
    with pytest.raises(InputError, match="the inpainting specification has no use for the array 'other'"):
        build_operator(nested.to_spec(), {**nested.arrays(), "0.other": SOME.mask})


def test_specifications_that_contradict_themselves() -> None:
    spec = (BLUR @ OTHER).to_spec()
    arrays = (BLUR @ OTHER).arrays()
    shape = r"the image shape of the product specification is \[1, 8, 7\], and its parts take \[1, 8, 6\]"
    for changes, message in (
        ({"image_shape": [1, 8, 7]}, shape),
        ({"parts": spec["parts"][:1]}, "the product specification has no use for the array '1.kernel'"),
        ({"parts": [1]}, r"the key 'parts\[0\]' of the product specification is 1"),
        ({"parts": "deblur"}, "the key 'parts' of the product specification is 'deblur'"),
        ({"parts": [{"kind": "cone"}, spec["parts"][1]]}, "the operator kind is 'cone'"),
        ({"factor": 2.0}, "unknown key 'factor'"),
    ):
        with pytest.raises(InputError, match=message):
            build_operator({**spec, **changes}, arrays)
    scaled = (2 * BLUR).to_spec()
    for factor in (0.0, True, "2", None):
        with pytest.raises(InputError, match="factor"):
            build_operator({**scaled, "factor": factor})
    with pytest.raises(InputError, match="hdr is no linear operator"):
        build_operator({**scaled, "parts": [HDR((1, 8, 6)).to_spec()]})
    with pytest.raises(InputError, match="a product of no operators"):
        build_operator({**spec, "parts": []})
    for one in (scaled, SMALLER.H.to_spec()):
        for parts in ([], 2 * one["parts"]):
            with pytest.raises(InputError, match="the key 'parts' of the (scaled|adjoint) specification is") as caught:
                build_operator({**one, "parts": parts})
            assert caught.value.hint.endswith("1")


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([{"kind": "inpainting", "image_shape": [1, 12000, 12000]}], "12000 x 12000 pixels, more than the limit"),
        ([{"kind": "stack", "parts": [{"image_shape": [1, 8000, 8000]}]}], "claims an image of 64000000 values"),
        (600 * [{"kind": "inpainting", "image_shape": [1, 1000, 1000]}], "601 parts, whose images have more than"),
    ],
)
def test_parts_that_claim_too_much_are_refused_before_they_are_built(
    parts: list[Any], message: str, tmp_path: Path
) -> None:
    path, many = tmp_path / "m.safetensors", "601" in message
    spec = {"kind": "stack", "image_shape": [1, 8, 8], "parts": parts}
    y = torch.zeros(100 if many else 10)
    record = Stored(y=y, arrays={}, spec=spec, colour="grey", provenance=Provenance("idm", "a", "0" * 64))
    write_stored(path, record)
    with pytest.raises(InputError, match=message):
        read_stored(path)
