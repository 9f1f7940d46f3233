"""The labelled panel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from idmcli.io.images import read_image, write_image
from idmcli.io.panels import panel

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
