"""Pictures drawn by code: what photographs lack, and users have."""

from __future__ import annotations

import string

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

Array = NDArray[np.float64]

FINER = 4  # the shapes are drawn so many times larger, so that their edges are soft
MOST_SHAPES = 10


def drawing(side: int, channels: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """A flat or sloping ground with up to ten ellipses, boxes, lines and lines of text, each of one level.

    Screenshots, printed pages, diagrams and phantoms are like this.

    Args:
        side: of the square picture, in pixels.
        channels: of the picture; one drawing in two is grey.
        rng: draws everything.

    Returns:
        (channels, side, side), values in [0, 1].
    """
    coloured = bool(rng.integers(2))

    def level() -> Array:  # (channels, 1, 1)
        return rng.random((channels if coloured else 1, 1, 1)) * np.ones((channels, 1, 1))

    across, down = np.meshgrid(np.linspace(0, 1, side), np.linspace(0, 1, side))
    slope = rng.uniform(-0.5, 0.5, (2, 1, 1)) * rng.integers(2)
    picture = (level() + slope[0] * across + slope[1] * down).clip(0, 1)
    lettered = rng.random() < 0.3
    ink = level()
    for _ in range(int(rng.integers(MOST_SHAPES + 1))):
        cover = _lines_of_text(side, rng) if lettered else _shape(side, rng)
        picture += cover * ((ink if lettered else level()) - picture)
    return np.asarray(picture, np.float32)


def _shape(side: int, rng: np.random.Generator) -> Array:
    """How far an ellipse, a box or a line covers each pixel, (side, side) in [0, 1]."""
    canvas = Image.new("L", (side * FINER, side * FINER))
    draw = ImageDraw.Draw(canvas)
    centre, half = rng.uniform(0, canvas.width, 2), canvas.width * rng.uniform(0.02, 0.4, 2)
    box = [*(centre - half), *(centre + half)]
    width = int(rng.integers(2, 4 * FINER))
    match rng.integers(5):
        case 0:
            draw.ellipse(box, fill=255)
        case 1:
            draw.ellipse(box, outline=255, width=width)
        case 2:
            draw.rectangle(box, fill=255)
        case 3:
            draw.rectangle(box, outline=255, width=width)
        case _:
            draw.line([*rng.uniform(0, canvas.width, 4)], fill=255, width=width)
    return _reduced(canvas.rotate(float(rng.uniform(0, 180)) if rng.integers(2) else 0.0))


def _lines_of_text(side: int, rng: np.random.Generator) -> Array:
    """How far a few lines of random letters cover each pixel, (side, side) in [0, 1]."""
    canvas = Image.new("L", (side * FINER, side * FINER))
    height = int(rng.integers(7, 20)) * FINER
    letters = list(string.ascii_letters + string.digits + "    .,")
    lines = ["".join(rng.choice(letters, 30)) for _ in range(int(rng.integers(1, 4)))]
    place = tuple(rng.uniform(-0.2, 0.9, 2) * canvas.width)
    ImageDraw.Draw(canvas).text(place, "\n".join(lines), fill=255, font=ImageFont.load_default(height))
    return _reduced(canvas)


def _reduced(canvas: Image.Image) -> Array:
    side = canvas.width // FINER
    fine = np.asarray(canvas, np.float64).reshape(side, FINER, side, FINER)
    return np.asarray(fine.mean((1, 3)) / 255)
