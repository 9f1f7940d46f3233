"""JSON records: exact, canonical, and bounded."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from idmcli.io.records import MAX_DEPTH, check_depth, from_text, to_line

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@given(VALUES)
def test_round_trip(content: Any) -> None:
    line = to_line(content)
    assert from_text(line) == content
    assert line.isascii() and line.isprintable()


def test_equal_contents_give_equal_lines() -> None:
    assert to_line({"b": 1, "a": [1.5, "é"]}) == to_line({"a": [1.5, "é"], "b": 1}) == '{"a":[1.5,"\\u00e9"],"b":1}'
    with pytest.raises(ValueError, match="Out of range"):
        to_line(float("nan"))


def test_depth_and_length_are_bounded() -> None:
    assert from_text("[" * MAX_DEPTH + "]" * MAX_DEPTH)
    for depth in (MAX_DEPTH + 1, 500, 100_000):
        with pytest.raises(ValueError, match="nested more than 32 deep"):
            from_text("[" * depth + "]" * depth)
        with pytest.raises(ValueError, match="nested more than 32 deep"):
            from_text('{"a":' * depth + "1" + "}" * depth)
    with pytest.raises(ValueError, match="11 characters of JSON, more than 10"):
        from_text('"123456789"', max_length=10)
    check_depth({"a": [(1, 2), {"b": []}]})
