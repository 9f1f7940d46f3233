"""Specifications: strict types, and errors that name the key."""

from __future__ import annotations

from typing import Any

import pytest

from idmcli.errors import InputError
from idmcli.operators import Specification, build_operator
from idmcli.operators.spec import make_described

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


def test_a_type_of_mask_is_no_kind_of_operator() -> None:
    spec = {"kind": "inpainting", "image_shape": [1, 4, 4], "mask": {"type": "boxes", "boxes": [[0, 0, 1]]}}
    with pytest.raises(InputError, match=r"the box \[0, 0, 1\] is no box"):
        build_operator(spec)
