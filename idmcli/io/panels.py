"""Pictures side by side, each under its label."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont

_GAP = 8


def panel(images: Sequence[tuple[str, NDArray[Any]]]) -> NDArray[np.float32]:
    """A white sheet with the pictures in a row and their labels above, for :func:`idmcli.io.images.write_image`.

    Args:
        images: pairs of a label (one line) and a grey (H, W) or RGB (H, W, 3) picture in [0, 1]; what
            lies outside is clipped. Sizes may differ.

    Returns:
        float32 in [0, 1]: (H', W') if all pictures are grey, else (H', W', 3).
    """
    if not images:
        raise ValueError("a panel needs at least one picture")
    height = max(picture.shape[0] for _, picture in images)
    font = ImageFont.load_default(min(max(height / 24, 11), 40))
    boxes = [ImageDraw.Draw(Pillow.new("L", (1, 1))).textbbox((0, 0), label, font=font) for label, _ in images]
    widths = [max(picture.shape[1], int(box[2]) + 1) for (_, picture), box in zip(images, boxes, strict=True)]
    head = max(int(box[3]) for box in boxes) + _GAP

    size = (head + height + 2 * _GAP, sum(widths) + _GAP * (len(images) + 1), 3)
    sheet = np.ones(size, np.float32)
    left = _GAP
    for (label, picture), width in zip(images, widths, strict=True):
        text = Pillow.new("L", (width, head), 255)
        ImageDraw.Draw(text).text((0, 0), label, fill=0, font=font)
        sheet[_GAP : _GAP + head, left : left + width] = np.asarray(text, np.float32)[..., None] / 255
        pixels = np.clip(picture, 0, 1)
        rows, columns = picture.shape[:2]
        sheet[_GAP + head : _GAP + head + rows, left : left + columns] = (
            pixels[..., None] if pixels.ndim == 2 else pixels
        )
        left += width + _GAP
    return sheet[..., 0] if all(picture.ndim == 2 for _, picture in images) else sheet
