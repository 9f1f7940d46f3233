"""Pictures that nobody tuned for, drawn by code or taken from scikit-image and pydicom, whose pictures are free.

Each is a function of a side N in pixels that returns (N, N) or (N, N, 3), float64 in 0..1.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import skimage.data
import skimage.draw
import skimage.transform
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Picture = NDArray[np.float64]


def flat(side: int) -> Picture:
    """One grey level."""
    return np.full((side, side), 0.5)


def ramp(side: int) -> Picture:
    """From black to white."""
    return np.add.outer(np.linspace(0, 0.5, side), np.linspace(0, 0.5, side))


def ellipses(side: int) -> Picture:
    """The phantom of Shepp and Logan."""
    return resized(skimage.data.shepp_logan_phantom(), side).clip(0, 1)


def text(side: int) -> Picture:
    """A page of printed text."""
    return resized(skimage.data.page()[:190, 60:250] / 255, side)


def screenshot(side: int) -> Picture:
    """A window of a program: areas of one colour, frames and letters, in colour."""
    image = Image.new("RGB", (128, 128), (236, 240, 244))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, 0, 127, 14), (44, 62, 80))
    draw.text((4, 2), "File  Edit  View", (255, 255, 255))
    draw.rectangle((0, 15, 34, 127), (210, 216, 222))
    for row, colour in enumerate([(192, 57, 43), (39, 174, 96), (41, 128, 185), (243, 156, 18)]):
        draw.rectangle((5, 22 + 24 * row, 17, 34 + 24 * row), colour, (90, 90, 90))
    draw.rectangle((42, 24, 120, 84), (255, 255, 255), (120, 120, 120))
    draw.text((46, 28), "Save changes\nto image.png?", (20, 20, 20))
    draw.rectangle((46, 64, 78, 78), (41, 128, 185))
    draw.text((54, 65), "OK", (255, 255, 255))
    draw.line((42, 120, 60, 100, 78, 110, 96, 92, 120, 116), (192, 57, 43), 2)
    return resized(np.asarray(image) / 255, side)


def drawing(side: int) -> Picture:
    """Dark lines on white."""
    image = Image.new("L", (512, 512), 255)
    draw = ImageDraw.Draw(image)
    for radius in range(30, 250, 44):
        draw.ellipse((256 - radius, 256 - radius, 256 + radius, 256 + radius), outline=20, width=4)
    for angle in np.linspace(0, np.pi, 7)[:-1]:
        x, y = 240 * np.cos(angle), 240 * np.sin(angle)
        draw.line((256 - x, 256 - y, 256 + x, 256 + y), fill=20, width=4)
    return resized(np.asarray(image) / 255, side)


def night_sky(side: int) -> Picture:
    """Stars and galaxies on black."""
    return resized(skimage.data.hubble_deep_field()[200:456, 300:556].mean(-1) / 255, side)


def texture(side: int) -> Picture:
    """Grass."""
    return resized(skimage.data.grass()[:256, :256] / 255, side)


def face(side: int) -> Picture:
    """A portrait in colour."""
    return resized(skimage.data.astronaut()[0:256, 96:352] / 255, side)


def coins(side: int) -> Picture:
    """Coins on a dark ground."""
    return resized(skimage.data.coins()[40:296, 30:286] / 255, side)


def retina(side: int) -> Picture:
    """An eye's ground: a medical picture in colour."""
    return resized(skimage.data.retina()[300:1100, 300:1100] / 255, side)


def abdomen(side: int) -> Picture:
    """A CT slice of another body part than the prior's, 16 bits, air to bone."""
    from pydicom.data import get_testdata_file

    return _slice("CT_small.dcm", side, get_testdata_file)


def spine(side: int) -> Picture:
    """A magnetic resonance slice of another body part than the prior's, 16 bits."""
    from pydicom.data import get_testdata_file

    return _slice("MR_small.dcm", side, get_testdata_file)


def _slice(name: str, side: int, find: Callable[..., object]) -> Picture:
    pixels = find(name, read=True).pixel_array.astype(np.float64)  # type: ignore[attr-defined]
    low, high = pixels.min(), pixels.max()
    return resized((pixels - low) / (high - low), side)


def resized(pixels: Picture, side: int) -> Picture:
    """A picture with other sides, anti-aliased."""
    shape = (side, side, *pixels.shape[2:])
    resize = skimage.transform.resize
    return np.asarray(resize(pixels, shape, anti_aliasing=pixels.shape[0] > side), np.float64).clip(0, 1)


PICTURES: dict[str, Callable[[int], Picture]] = {
    "flat": flat,
    "ramp": ramp,
    "ellipses": ellipses,
    "text": text,
    "screenshot": screenshot,
    "drawing": drawing,
    "night sky": night_sky,
    "texture": texture,
    "face": face,
    "coins": coins,
    "retina": retina,
    "abdomen": abdomen,
    "spine": spine,
}
