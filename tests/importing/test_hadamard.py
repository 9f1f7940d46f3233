"""Readings of single-pixel cameras: every arrangement of them gives the coefficients, and so the image."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from numpy.typing import NDArray
from scipy.linalg import hadamard

import idmcli
from idmcli.cli import main
from idmcli.errors import ConfigError, InputError
from idmcli.importing import import_item
from idmcli.io.items import Item
from idmcli.measuring import Measurement
from idmcli.numerics.walsh_hadamard import dyadic, sequency
from tests.small import camera

pytestmark = pytest.mark.usefixtures("folder")
SIDE = 16
SCENE = 100 * camera(SIDE, 8)[0, 0].numpy().astype(np.float64)  # in the unit of the detector
PATTERNS = hadamard(SIDE * SIDE)
ORDERS = {"natural": slice(None), "sequency": sequency(256).numpy(), "dyadic": dyadic(256).numpy()}
MEAN = 900.0


def readings(order: str = "natural") -> tuple[NDArray[Any], NDArray[Any]]:
    """What a detector reads under the patterns where they are 1, and under those where they are -1."""
    patterns = PATTERNS[ORDERS[order]]
    return (patterns > 0) @ SCENE.ravel(), (patterns < 0) @ SCENE.ravel()


def imported(values: Any, name: str = "y.npy", **given: Any) -> tuple[Measurement, list[str]]:
    if name.endswith(".npy"):
        np.save(name, values)
    elif name.endswith(".mat"):
        scipy.io.savemat(name, {"y": values})
    else:
        np.savetxt(name, values, delimiter=",")
    return import_item(Item(Path(name)), {"patterns": "hadamard:natural", "shape": (SIDE, SIDE), **given})


def image(m: Measurement) -> NDArray[Any]:
    """A+ y, in the unit of the detector."""
    return np.asarray(m.operator.pinv(m.y[None])[0, 0].numpy())


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", ["y.npy", "y.csv", "y.mat"])
def test_pairs_in_every_order_and_format(order: str, name: str) -> None:
    plus, minus = readings(order)
    m, assumed = imported(np.stack([plus, minus], 1).ravel(), name, patterns=f"hadamard:{order}", split="interleaved")
    np.testing.assert_allclose(image(m), SCENE, atol=1e-3)
    assert any(order in text for text in assumed) and m.truth is None and m.gain is None


def test_pairs_in_halves_and_in_columns() -> None:
    plus, minus = readings()
    halves, _ = imported(np.concatenate([plus, minus]), split="halves")
    columns, _ = imported(np.stack([plus, minus], 1))  # the shape says it
    np.testing.assert_allclose(image(halves), SCENE, atol=1e-3)
    np.testing.assert_array_equal(halves.y, columns.y)


def test_signed_coefficients_need_no_word() -> None:
    m, assumed = imported(PATTERNS @ SCENE.ravel())
    np.testing.assert_allclose(image(m), SCENE, atol=1e-3)
    assert any("-1 and 1" in text for text in assumed)


def test_patterns_of_0_and_1_and_an_offset_that_nobody_knows() -> None:
    plus, _ = readings()
    m, assumed = imported(plus + 777.0)
    assert any("offset" in text and "is subtracted" in text for text in assumed)
    np.testing.assert_allclose(image(m), SCENE, atol=0.03 * SCENE.max())
    again, _ = imported(plus + 12_345.0)  # whatever it is
    np.testing.assert_allclose(again.y, m.y, atol=0.1)


def test_phase_steps_give_a_complex_image() -> None:
    field = SCENE * np.exp(1j * np.linspace(0, 2, SIDE))
    coefficients = PATTERNS @ field.ravel()
    steps = MEAN + np.real(coefficients[:, None] * np.exp(2j * np.pi * np.arange(3) / 3))
    m, _ = imported(steps)
    np.testing.assert_allclose(image(m), field, atol=1e-3)


def test_some_of_the_patterns() -> None:
    plus, minus = readings("sequency")
    numbers = np.random.default_rng(0).permutation(256)[:64]
    np.savetxt("shown.csv", numbers, fmt="%d")
    pairs = np.stack([plus, minus], 1)[numbers]
    m, _ = imported(pairs.ravel(), patterns="hadamard:sequency", shown="shown.csv", split="interleaved")
    np.testing.assert_allclose(m.y[0], (PATTERNS[ORDERS["sequency"]] @ SCENE.ravel())[numbers] / SIDE, rtol=1e-4)
    first, assumed = imported(pairs.ravel(), split="interleaved")  # without a list they are the first ones
    assert first.operator.measurement_shape == (1, 64) and any("0 to 63" in text for text in assumed)


def test_the_noise_of_a_reading_is_found() -> None:
    plus, minus = readings()
    rng = np.random.default_rng(1)
    pairs = np.stack([plus, minus], 1) + 300 * rng.standard_normal((256, 2))
    m, _ = imported(pairs)
    assert m.noise == pytest.approx(300 * np.sqrt(2) / SIDE, rel=0.35)  # 64 finest patterns, and some image in them
    stated, _ = imported(pairs, noise=300.0)
    assert stated.noise == pytest.approx(300 * np.sqrt(2) / SIDE, rel=1e-6)


def test_saturated_readings_follow_from_the_others() -> None:
    coefficients = PATTERNS @ (SCENE * np.exp(0.5j)).ravel()
    coefficients *= 115 / np.abs(coefficients[1:]).max()
    steps = np.round(128 + np.real(coefficients[:, None] * np.exp(2j * np.pi * np.arange(3) / 3)))
    m, assumed = imported(np.clip(steps, 0, 255))  # of the constant pattern, two readings lie outside
    assert any("saturated readings" in text for text in assumed)
    assert m.operator.measurement_shape[1] < 256


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"shape": None}, "size of the image is not known"),
        ({"shape": (15, 16)}, "powers of two"),
        ({"shape": (16, 16, 3)}, "one colour at a time"),
        ({"shape": (8, 8)}, "holds readings of 256 patterns, and the image has 64"),
        ({"split": "phases"}, "256 x 1 readings"),
        ({"split": "twice"}, "--split"),
    ],
)
def test_what_is_missing_or_wrong_is_named(given: dict[str, Any], problem: str) -> None:
    with pytest.raises(InputError, match=problem):
        imported(readings()[0], **{"split": "binary", **given})


@pytest.mark.parametrize("patterns", ["hadamard", "hadamard:walsh", "haar:4"])
def test_patterns_that_idm_does_not_know(patterns: str) -> None:
    with pytest.raises(ConfigError, match="order|--matrix|no patterns are called"):
        imported(readings()[0], patterns=patterns)


def test_lists_of_patterns_that_are_none() -> None:
    for content, problem in (
        ("0.5\n1\n", "does not list"),
        ("1\n1\n", "listed twice|--shown lists"),
        ("-1\n2\n", "does"),
    ):
        Path("shown.csv").write_text(content)
        with pytest.raises((ConfigError, InputError), match=problem):
            imported(np.ones(4), shown="shown.csv", split="interleaved")


def test_a_table_of_odd_readings() -> None:
    with pytest.raises(InputError, match="NaN or infinity"):
        imported(np.full(256, np.nan))
    with pytest.raises(InputError, match="make no pairs"):
        imported(np.ones(255), split="halves")
    with pytest.raises(InputError, match="100 x 1 readings, and 256 patterns"):
        imported(np.arange(100.0))


def test_the_command_line_from_readings_to_an_image(capsys: pytest.CaptureFixture[str]) -> None:
    plus, minus = readings()
    rows = np.stack([np.arange(256), plus, minus], 1)
    np.savetxt("y.csv", rows, delimiter=",", header="pattern,plus,minus", comments="")
    command = ["import", "y.csv", "--patterns", "hadamard:natural", "--split", "interleaved", "--shape", "16,16"]
    assert main(command) == 0
    assert "assumed: the first column counts the patterns" in capsys.readouterr().out
    assert main(["reconstruct", "measurements/y.safetensors", "--method", "pinv", "--format", "npz"]) == 0
    with np.load("reconstructions/y.npz") as archive:
        assert idmcli.psnr(archive["x"] / 100, SCENE / 100) > 60
