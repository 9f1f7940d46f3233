"""Specifications: strict types, and errors that name the key."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import Specification, build_operator
from idmcli.operators.spec import (
    check_image_shape,
    check_integer,
    check_shape,
    digest,
    make_described,
    restored,
    storable,
)

SPEC = {"kind": "mine", "image_shape": [1, 8, 8], "ratio": 0.5, "count": 3, "flag": False, "name": "a", "table": {}}


class Mine(Specification):
    ratio: float
    count: int
    flag: bool
    name: str
    table: dict[str, Any]
    either: int | list[Any] = 0
    perhaps: int | None = None


def test_defaults_and_what_passes() -> None:
    read = Mine.read({**SPEC, "ratio": 1, "either": [1, "x"]})
    assert (read.image_shape, read.ratio, read.either, read.perhaps) == ((1, 8, 8), 1.0, [1, "x"], None)


@pytest.mark.parametrize(
    ("changes", "message", "hint"),
    [
        ({"ration": 1}, "the mine specification has an unknown key 'ration'", "did you mean 'ratio'?"),
        ({"zzz": 1}, "unknown key 'zzz'", "known keys: count, either, flag, image_shape, kind, name, perhaps, ratio"),
        ({"count": 3.0}, "the key 'count' of the mine specification is 3.0", "it must be an integer"),
        ({"count": True}, "the key 'count' of the mine specification is True", "it must be an integer"),
        ({"count": "3"}, "is '3'", "it must be an integer"),
        ({"ratio": True}, "the key 'ratio' of the mine specification is True", "it must be a number"),
        ({"ratio": "0.5"}, "is '0.5'", "it must be a number"),
        ({"ratio": None}, "is None", "it must be a number"),
        ({"flag": 1}, "is 1", "it must be true or false"),
        ({"name": 1}, "is 1", "it must be a string"),
        ({"table": []}, r"is \[\]", "it must be an object"),
        ({"either": "x"}, "the key 'either' of the mine specification is 'x'", "it must be an integer or a list"),
        ({"perhaps": 1.5}, "is 1.5", "it must be an integer"),
        ({"image_shape": [1, 8]}, r"the image shape is \[1, 8\]", "it must be three integers >= 1"),
        ({"image_shape": 8}, "the image shape is 8", "it must be three integers >= 1"),
        ({"name": 10 * ["long"]}, r"is \['long', 'long', .*\.\.\.$", "it must be a string"),
        ({"kind": "\x1b[31m", "count": None}, r"the \\x1b\[31m specification|is None", "it must be an integer"),
    ],
)
def test_errors_name_the_key_what_was_found_and_what_is_expected(
    changes: dict[str, Any], message: str, hint: str
) -> None:
    with pytest.raises(InputError, match=message) as caught:
        Mine.read({**SPEC, **changes})
    assert caught.value.hint.startswith(hint)


@pytest.mark.parametrize("key", [key for key in SPEC if key != "kind"])
def test_missing_keys(key: str) -> None:
    with pytest.raises(InputError, match=f"the mine specification has no key '{key}'"):
        Mine.read({name: value for name, value in SPEC.items() if name != key})


def test_a_misspelt_key_is_named_before_the_one_that_it_leaves_out() -> None:
    with pytest.raises(InputError, match="unknown key 'cuont'") as caught:
        Mine.read({("cuont" if name == "count" else name): value for name, value in SPEC.items()})
    assert caught.value.hint == "did you mean 'count'?"


def line(length: float, *, colour: str = "red", width: int = 1) -> str:
    return f"{colour} {length} {width}"


def test_descriptions_are_calls_of_a_function() -> None:
    makers = {"line": line}
    assert make_described("shape", {"type": "line", "width": 2}, makers, 3.5) == "red 3.5 2"
    for wrong, message in (
        ({"type": "circle"}, "the shape type is 'circle'"),
        ({"width": 2}, "the shape type is None"),
        ({"type": "line", "widht": 2}, "the 'line' shape has an unknown key 'widht'"),
        ({"type": "line", "width": 2.0}, "the key 'width' of the 'line' shape is 2.0"),
    ):
        with pytest.raises(InputError, match=message):
            make_described("shape", wrong, makers, 3.5)
    with pytest.raises(InputError, match="the 'line' shape has no key 'length'"):
        make_described("shape", {"type": "line"}, makers)


def test_sizes_may_be_those_of_numpy() -> None:
    found = check_image_shape(np.zeros((1, 5, 6)).shape), check_image_shape([np.int64(3), 4, 5])
    assert found == ((1, 5, 6), (3, 4, 5)) and all(type(size) is int for size in found[1])
    assert check_shape("measurement shape", [np.int32(7)]) == (7,)
    assert type(check_integer("count", np.int16(4), 1, 9)) is int
    for huge in ([1, 2**20, 2**21], [1, 10**30, 8]):
        with pytest.raises(InputError, match="the image shape is") as caught:
            check_image_shape(huge)
        assert "at most 1099511627776 values" in caught.value.hint
    for bad in (7, (), (0,), (True,), "7", (2.0,), (2**41,)):
        with pytest.raises(InputError, match="the measurement shape is"):
            check_shape("measurement shape", bad)
    for bad in (0, 10, True, 3.0, "3", np.True_):
        with pytest.raises(InputError, match="the count is"):
            check_integer("count", bad, 1, 9)


def test_digests_follow_each_other() -> None:
    one, other = torch.arange(3.0), torch.arange(4, dtype=torch.int32)
    assert digest(one, other) != digest(other, one)
    assert digest(torch.cat([one, one])) == digest(one, one)


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex64, torch.complex128])
def test_complex_numbers_in_double_precision_are_stored_as_pairs(dtype: torch.dtype) -> None:
    t = torch.randn(3, 2, dtype=dtype)
    assert storable(t).dtype != torch.complex128
    assert torch.equal(restored(storable(t), 2), t)


def test_a_type_of_mask_is_no_kind_of_operator() -> None:
    spec = {"kind": "inpainting", "image_shape": [1, 4, 4], "mask": {"type": "boxes", "boxes": [[0, 0, 1]]}}
    with pytest.raises(InputError, match=r"the box \[0, 0, 1\] is no box"):
        build_operator(spec)
