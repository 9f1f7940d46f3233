"""The labelled panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idmcli.io.images import read_image, write_image
from idmcli.io.panels import colours_of, error_map, panel

RNG = np.random.default_rng(0)


def occurrences(sheet: np.ndarray, picture: np.ndarray) -> list[tuple[int, int]]:
    rows, columns = picture.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (rows, columns), axis=(0, 1))  # type: ignore[call-overload]
    wanted = picture if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    found = (windows == wanted).reshape(*windows.shape[:2], -1).all(axis=2)
    return [(int(r), int(c)) for r, c in np.argwhere(found)]


def test_pictures_appear_unchanged_in_order() -> None:
    pictures = [RNG.random((20, 16)).astype(np.float32), RNG.random((30, 10)).astype(np.float32)]
    sheet = panel([("truth", pictures[0]), ("result", pictures[1])])
    assert sheet.dtype == np.float32
    assert sheet.ndim == 2
    (first,), (second,) = (occurrences(sheet, picture) for picture in pictures)
    assert first[0] == second[0]  # a common upper edge
    assert first[1] + 16 < second[1]
    for row, column in (first, second):
        above = sheet[:row, column : column + 10]
        assert above.min() < 0.5  # the label
    assert (sheet[:, -4:] == 1).all()


def test_labels_differ_and_wide_ones_are_not_cut() -> None:
    black = np.zeros((12, 3), np.float32)
    narrow, wide = panel([("a", black)]), panel([("a label far wider than the picture", black)])
    assert wide.shape[1] > narrow.shape[1] + 100
    assert (wide[:, -4:] == 1).all()


def test_grey_beside_colour() -> None:
    grey, colour = RNG.random((9, 9)).astype(np.float32), RNG.random((9, 9, 3)).astype(np.float32)
    sheet = panel([("g", grey), ("c", colour)])
    assert sheet.ndim == 3
    assert len(occurrences(sheet, np.stack([grey] * 3, axis=-1))) == 1
    assert len(occurrences(sheet, colour)) == 1


def test_clipped_and_writable(tmp_path: Path) -> None:
    sheet = panel([("error x5, naïve", np.full((40, 40), 7.0)), ("x", np.full((40, 40), -7.0))])
    assert 0 <= sheet.min() <= sheet.max() <= 1
    write_image(tmp_path / "panel.png", sheet)
    assert read_image(tmp_path / "panel.png").pixels.shape == sheet.shape


def test_empty() -> None:
    with pytest.raises(ValueError, match="at least one"):
        panel([])


def test_a_title_and_labels_of_two_lines_stand_above() -> None:
    picture = np.zeros((20, 16), np.float32)
    low, high = panel([("a", picture)]), panel([("a\n31.20 dB", picture)], "inpainting, 30 % of the pixels")
    assert high.shape[0] >= low.shape[0] + 20 and high.shape[1] > 120
    ((row, _),) = occurrences(high, picture)
    dark = (high[:row] < 0.5).any(axis=1)
    assert (np.diff(dark.astype(int)) == 1).sum() >= 3  # three lines of words


def test_an_error_map_has_colours_and_a_scale() -> None:
    error = np.linspace(0, 0.043, 200).reshape(20, 10)
    sheet = error_map(error)
    assert sheet.ndim == 3 and sheet.shape[0] >= 20 and sheet.shape[1] > 10 + 8
    np.testing.assert_array_equal(sheet[:20, :10], colours_of(error / 0.05))
    brightness = sheet[:20, :10].sum(axis=2).ravel()
    assert (np.diff(brightness) > -1e-6).all() and brightness[0] < 0.1 < 2 < brightness[-1]
    bar = sheet[:20, 18]
    np.testing.assert_array_equal(bar[[0, -1]], colours_of(np.array([1.0, 0.0])))
    assert (sheet[:, 28:] < 0.5).any()  # the words at its ends


@pytest.mark.parametrize(
    ("largest", "full", "end"), [(0.043, 1, 0.05), (0.2, 1, 0.2), (0.021, 4096, 100), (0, 1, 0.001)]
)
def test_the_scale_of_an_error_map_is_round_and_in_the_unit(largest: float, full: float, end: float) -> None:
    error = np.full((30, 30), largest)
    np.testing.assert_allclose(error_map(error, full)[:30, :30], colours_of(error * full / end), atol=1e-6)


def test_a_few_large_errors_do_not_darken_the_map() -> None:
    error = np.full((40, 40), 0.01)
    error[0, :4] = 0.9
    sheet = error_map(error)
    np.testing.assert_allclose(sheet[1:40, :40], colours_of(np.full((39, 40), 1.0)), atol=1e-6)
    assert sheet.shape[1] > error_map(error.clip(0, 0.01)).shape[1], "a plus sign marks the end of the scale"
