"""Where the pixels of a slice lie."""

from __future__ import annotations

import math
from typing import Any

import pytest

from idmcli.io.geometry import Geometry

PLACE = Geometry((1, 2, 3), (0, 0.5, 0), (0.25, 0, 0), (0, 0, 4), "1.2.3")


def test_spacing_and_words() -> None:
    assert PLACE.spacing == (0.5, 0.25, 4) and str(PLACE) == "0.5 x 0.25 x 4 mm"


def test_json_and_back() -> None:
    assert Geometry.from_json(PLACE.to_json()) == PLACE
    assert Geometry.of([1, 2, 3], [0, 0.5, 0], [0.25, 0, 0], [0, 0, 4], "1.2.3") == PLACE


@pytest.mark.parametrize(
    "change",
    [{"down": (0, 0, 0)}, {"origin": (1, 2)}, {"right": (math.nan, 0, 1)}, {"frame": "\x1b[31m"}, {"through": "word"}],
)
def test_what_is_no_geometry(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Geometry.from_json(PLACE.to_json() | change)


def test_a_record_that_lacks_a_part() -> None:
    with pytest.raises(ValueError, match="an origin and three steps"):
        Geometry.from_json({"origin": [0, 0, 0]})
