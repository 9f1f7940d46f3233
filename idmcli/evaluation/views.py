"""The pictures of a page: small ones, exact to 8 bits, and maps of their errors."""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from torch import Tensor
from torch.nn.functional import interpolate

from idmcli import tasks
from idmcli.evaluation.benchmark import Result
from idmcli.evaluation.tables import Score
from idmcli.io.panels import colours_of
from idmcli.methods.reconstruction import as_pictures

SHOWN = 3  # pictures of a comparison, the first
SIDE = 256  # pixels, the longest; larger pictures are reduced
FULL_ERROR = 0.1  # of the scale from 0 to 1, and more: the brightest colour of an error map
LEVELS = 32  # of an error map: few, so that it compresses well
ORIGINAL = "original"


@dataclass(frozen=True)
class View:
    """One picture as it is shown.

    Attributes:
        label: the method, :data:`ORIGINAL`, or what the measurements are called ("blurred", "zero-filled").
        picture: a PNG file.
        error: a PNG file, the map of the errors; empty for the original.
        score: of the method's result; None for the others.
    """

    label: str
    picture: bytes
    error: bytes = b""
    score: Score | None = None


def views_of(result: Result, *, first: bool) -> list[View]:
    """The pictures of a result; before the first result of a measurement, the original and what was measured."""
    x, m, score = result.x, result.m, result.score
    assert m.truth is not None
    truth = m.truth[None].clamp(0, 1)
    of_method = View(score.method, encode(x), encode_error(x, truth), score)
    if not first:
        return [of_method]
    seen = tasks.seen(m.operator, m.y[None])
    if seen.picture.shape != truth.shape:  # a sinogram: pictures of a page lie over one another
        seen = tasks.seen_through_inverse(m.operator, m.y[None])
    measured = as_pictures(seen.picture)
    return [View(ORIGINAL, encode(truth)), View(seen.label, encode(measured), encode_error(measured, truth)), of_method]


def encode(x: Tensor) -> bytes:
    """A PNG file of an image (1, 1 or 3, H, W) in [0, 1]."""
    pixels = (255 * _reduced(x)[0]).round().byte().permute(1, 2, 0).numpy()
    return _png(Pillow.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels))


def encode_error(x: Tensor, truth: Tensor) -> bytes:
    """A PNG file of ``|x - truth|``, the mean over channels, in colours from 0 to :data:`FULL_ERROR`."""
    error = _reduced((x - truth).abs().mean(1, keepdim=True))[0, 0]
    picture = Pillow.fromarray((LEVELS * error / FULL_ERROR).clamp(0, LEVELS - 1).byte().numpy(), "P")
    picture.putpalette(error_colours().tobytes())
    return _png(picture)


def error_colours() -> NDArray[np.uint8]:
    """The colours of an error map, (:data:`LEVELS`, 3)."""
    return (255 * colours_of(np.linspace(0, 1, LEVELS))).round().astype(np.uint8)


def _reduced(x: Tensor) -> Tensor:
    height, width = x.shape[2:]
    longest = max(height, width)
    if longest <= SIDE:
        return x
    return interpolate(x, (max(height * SIDE // longest, 1), max(width * SIDE // longest, 1)), mode="area")


def _png(picture: Pillow.Image) -> bytes:
    file = BytesIO()
    picture.save(file, "PNG", optimize=True)
    return file.getvalue()
