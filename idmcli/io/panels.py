"""Pictures side by side, each under its label, and maps of errors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

_GAP = 8
_INFERNO = np.array([[0, 0, 4], [87, 16, 110], [188, 55, 84], [249, 142, 9], [252, 255, 164]]) / 255  # dark to bright
_SHOWN = 0.995  # share of the errors that the scale of their map covers
_LEAST = 1e-3  # of the scale from black to white: the smallest error that is bright


def panel(images: Sequence[tuple[str, NDArray[Any]]], title: str = "") -> NDArray[np.float32]:
    """A white sheet with the pictures in a row and their labels above, for :func:`idmcli.io.images.write_image`.

    Args:
        images: pairs of a label, of one line or more, and a grey (H, W) or RGB (H, W, 3) picture in [0, 1]; what
            lies outside is clipped. Sizes may differ.
        title: one line above all.

    Returns:
        float32 in [0, 1]: (H', W') if all pictures are grey, else (H', W', 3).
    """
    if not images:
        raise ValueError("a panel needs at least one picture")
    height = max(picture.shape[0] for _, picture in images)
    font = _font(height)
    texts = [_text(label, font) for label, _ in images]
    widths = [max(picture.shape[1], text.shape[1]) for (_, picture), text in zip(images, texts, strict=True)]
    heading = _text(title, font) if title else np.ones((0, 0), np.float32)
    top = _GAP + (heading.shape[0] + _GAP if title else 0)
    head = max(text.shape[0] for text in texts) + _GAP

    across = max(sum(widths) + _GAP * (len(images) + 1), heading.shape[1] + 2 * _GAP)
    sheet = np.ones((top + head + height + _GAP, across, 3), np.float32)
    _place(sheet, heading, _GAP, _GAP)
    left = _GAP
    for (_, picture), text, width in zip(images, texts, widths, strict=True):
        _place(sheet, text, top, left)
        _place(sheet, np.clip(picture, 0, 1), top + head, left)
        left += width + _GAP
    return sheet[..., 0] if all(picture.ndim == 2 for _, picture in images) else sheet


def error_map(error: NDArray[np.floating[Any]], full: float = 1.0, unit: str = "") -> NDArray[np.float32]:
    """Errors in colours from dark to bright, and the scale of the colours beside them.

    The scale ends with 1, 2 or 5 times a power of ten that covers 99.5 % of the errors. Larger ones are as bright, and
    its end is marked by a plus sign then.

    Args:
        error: (H, W), absolute, in [0, 1].
        full: what 1 stands for.
        unit: of that.

    Returns:
        RGB, (H', W', 3), in [0, 1]; the map is in its upper left corner.
    """
    end = _round_up(max(float(np.quantile(error, _SHOWN)), _LEAST) * full)
    height, width = error.shape
    font = _font(height)
    beyond = "+" if float(error.max()) * full > end else ""
    last = _text(f"{end:g}{beyond} {unit}".rstrip(), font)
    first, bar = _text("0", font), max(8, width // 24)
    rows = max(height, first.shape[0] + last.shape[0] + _GAP)
    sheet = np.ones((rows, width + 2 * _GAP + bar + max(first.shape[1], last.shape[1]), 3), np.float32)
    _place(sheet, colours_of(error * full / end), 0, 0)
    _place(sheet, colours_of(np.repeat(np.linspace(1, 0, height)[:, None], bar, 1)), 0, width + _GAP)
    beside = width + _GAP + bar + _GAP // 2
    _place(sheet, last, 0, beside)
    _place(sheet, first, rows - first.shape[0], beside)
    return sheet


def colours_of(levels: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """RGB in [0, 1], (..., 3), of levels (...) from 0, dark, to 1, bright; what lies outside is clipped."""
    places = np.clip(levels, 0, 1) * (len(_INFERNO) - 1)
    channels = [np.interp(places, range(len(_INFERNO)), channel) for channel in _INFERNO.T]
    return np.stack(channels, -1).astype(np.float32)


def _round_up(value: float) -> float:
    """The next of 1, 2 and 5 times powers of ten."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value * (1 - 1e-9))


def _font(height: int) -> Any:
    """The font for pictures of that height."""
    return ImageFont.load_default(min(max(height / 24, 12), 40))


def _text(text: str, font: Any) -> NDArray[np.float32]:
    """Black words on white, (h, w)."""
    left, top, right, bottom = ImageDraw.Draw(Pillow.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=font)
    picture = Pillow.new("L", (math.ceil(right) + 1, math.ceil(bottom)), 255)
    ImageDraw.Draw(picture).multiline_text((0, 0), text, fill=0, font=font)
    return np.asarray(picture, np.float32) / np.float32(255)


def _place(sheet: NDArray[np.float32], picture: NDArray[Any], top: int, left: int) -> None:
    rows, columns = picture.shape[:2]
    sheet[top : top + rows, left : left + columns] = picture[..., None] if picture.ndim == 2 else picture
