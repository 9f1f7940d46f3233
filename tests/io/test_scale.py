"""Scales: an affine map and its inverse."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from idmcli.io.records import from_text, to_line
from idmcli.io.scale import Scale

HU = Scale(-1024, 3072, "HU")
NUMBERS = st.floats(-1e9, 1e9)


def test_hounsfield_units() -> None:
    samples = np.array([0, 16384, 65535], np.uint16)
    expected = samples / 65535 * 4096 - 1024
    assert np.allclose(HU.invert(samples / 65535), expected, rtol=0, atol=1e-12)
    assert np.allclose(HU.apply(expected), samples / 65535, rtol=0, atol=1e-15)
    assert HU.apply(-1024) == 0 and HU.apply(3072) == 1
    assert torch.equal(HU.invert(torch.tensor([0.0, 0.5, 1.0, 1.5])), torch.tensor([-1024.0, 1024, 3072, 5120]))
    assert str(HU) == "-1024 to 3072 HU" and str(Scale()) == "0 to 1"


@given(st.floats(-1000, 1000), st.floats(0.1, 1e9), st.text(st.characters(categories=["L", "N"]), max_size=32), NUMBERS)
def test_inverse_and_json(low: float, width: float, unit: str, value: float) -> None:
    scale = Scale(low, low + width, unit)
    assert scale.invert(scale.apply(value)) == pytest.approx(value, rel=1e-6, abs=1e-6 * (abs(low) + width))
    assert Scale.from_json(from_text(to_line(scale.to_json()))) == scale


@pytest.mark.parametrize("value", [0.0, 0.1, 0.7, 1.0, -0.25])
def test_the_unit_interval_changes_nothing(value: float) -> None:
    assert Scale().apply(value) == Scale().invert(value) == value


@pytest.mark.parametrize("fields", [(1, 1), (1, 0), (0, float("nan")), (0, float("inf")), (-1e308, 1e308)])
def test_no_interval(fields: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="no interval"):
        Scale(*fields)


@pytest.mark.parametrize(("low", "high"), [(0, 1e39), (-2e38, 0), (1e38, 1.1e38)])
def test_values_that_a_result_cannot_hold(low: float, high: float) -> None:
    with pytest.raises(ValueError, match=r"goes beyond 1e\+38"):
        Scale(low, high)


@pytest.mark.parametrize(("low", "high"), [(1e9, 1e9 + 1), (0, 1e-320), (0, 1e-36), (-1e6, -1e6 + 1)])
def test_values_that_a_result_cannot_tell_apart(low: float, high: float) -> None:
    with pytest.raises(ValueError, match="too narrow: 32-bit numbers"):
        Scale(low, high)


@pytest.mark.parametrize("scale", [Scale(0, 1e38), Scale(1e6, 1e6 + 100), Scale(0, 1e-30), HU])
def test_a_result_tells_256_values_apart(scale: Scale) -> None:
    values = scale.invert(np.linspace(0, 1, 256)).astype(np.float32)
    assert len(np.unique(values)) == 256 and np.isfinite(scale.invert(np.float64(3))).all()


@pytest.mark.parametrize("unit", ["x" * 33, "a\n", "\x1b[31m", "\udcff"])
def test_odd_units(unit: str) -> None:
    with pytest.raises(ValueError, match="at most 32 printable"):
        Scale(0, 1, unit)


def test_white() -> None:
    scale = Scale(-1024, 3072, "HU", 4095)
    assert Scale.from_json(from_text(to_line(scale.to_json()))) == scale == scale.for_gain(1.0)
    assert "white" not in HU.to_json()  # as in files written before there was one
    assert (scale.white_of(16), Scale().white_of(16), Scale().white_of(8)) == (4095, 65535, 255)
    with pytest.raises(ValueError, match="samples of 8 bits end with 255"):
        scale.white_of(8)
    for white in (0, -1, 65536, 2.5, "4095", True):
        with pytest.raises(ValueError, match="white is"):
            Scale.from_json({"low": 0, "high": 1, "white": white})


@pytest.mark.parametrize("content", [None, [], {}, {"low": 0}, {"low": 0, "high": "x"}, {"low": 0, "high": 10**400}])
def test_no_scale(content: Any) -> None:
    with pytest.raises(ValueError):
        Scale.from_json(content)
