"""Sampling masks: pixels for inpainting, k-space points for MRI.

A mask is a boolean (H, W) array, True where sampled. K-space masks have DC at the corner [0, 0]
(numpy's FFT order); :func:`to_centre` and :func:`to_corner` change the convention. Phase encoding
runs along the columns: a Cartesian mask samples whole columns.

A mask is described by a mapping: ``{"type": NAME, ...}`` with the options of the function of that name.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.checks import check_fraction, check_integer, check_seed, shown
from idmcli.operators.spec import make_described

MAX_LINES = 100_000  # of a radial mask
MAX_STROKES = 10_000
MAX_POINTS = 2**29  # of all its lines; drawing them takes some seconds

Mask = NDArray[np.bool_]
Shape = tuple[int, int]


def to_centre(mask: Mask) -> Mask:
    """DC from the corner to [H // 2, W // 2]."""
    return np.fft.fftshift(mask)


def to_corner(mask: Mask) -> Mask:
    """DC from [H // 2, W // 2] to the corner."""
    return np.fft.ifftshift(mask)


def negate_frequencies(mask: Mask) -> Mask:
    """``m(-k)``, DC at the corner, any size."""
    return np.roll(np.flip(mask, (0, 1)), (1, 1), (0, 1))


def random_pixels(shape: Shape, *, ratio: float, seed: int = 0) -> Mask:
    """``round(ratio H W)`` pixels, at least one, drawn uniformly without replacement."""
    count = shape[0] * shape[1]
    kept = max(1, round(check_fraction("kept ratio", ratio) * count))
    mask = np.zeros(count, bool)
    mask[_generator(seed).permutation(count)[:kept]] = True
    return mask.reshape(shape)


def strokes(shape: Shape, *, ratio: float, width: float = 4.0, length: float | None = None, seed: int = 0) -> Mask:
    """All pixels outside straight strokes, as scratches, letters and stains are: so many that about ``ratio`` is kept.

    Args:
        shape: (H, W).
        ratio: of the pixels that are kept, in (0, 1].
        width: of a stroke in pixels.
        length: of the longest in pixels; the image's longer side if None. Lengths are uniform from the width on.
        seed: of places, directions and lengths.

    Raises:
        InputError: ratio, width or length is out of range.
    """
    check_fraction("kept ratio", ratio)
    for name, pixels in (("width", width), ("length", length)):
        if pixels is not None and not 1 <= pixels <= 100 * max(shape):
            raise InputError(
                f"the {name} of the strokes is {pixels!r} pixels", "it must be 1 or more, and fit the image"
            )
    rng, mask = _generator(seed), np.ones(shape, bool)
    longest, kept = max(shape) if length is None else length, mask.size
    for _ in range(MAX_STROKES):
        if kept <= ratio * mask.size:
            break
        stroke = _stroke(shape, width, longest, rng)
        kept -= int(mask[stroke].sum())
        mask[stroke] = False
    return mask


def _stroke(
    shape: Shape, width: float, longest: float, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the pixels of a stroke."""
    middle, angle = rng.uniform(0, shape), rng.uniform(0, np.pi)
    reach = rng.uniform(min(width, longest), longest) / 2
    direction = np.array([np.sin(angle), np.cos(angle)])
    along = int(abs(direction[0]) < abs(direction[1]))  # the axis with one position per pixel of the stroke
    half = reach * abs(direction[along])
    first, last = max(0, round(middle[along] - half)), min(shape[along] - 1, round(middle[along] + half))
    position = np.arange(first, last + 1)
    side = middle[1 - along] + (position - middle[along]) * direction[1 - along] / direction[along]
    thick = width / abs(direction[along])
    lines = np.rint(side[:, None] - (thick - 1) / 2 + np.arange(max(1, round(thick)))).astype(np.int64)
    inside = (lines >= 0) & (lines < shape[1 - along])
    points = np.broadcast_to(position[:, None], lines.shape)[inside], lines[inside]
    return points if along == 0 else points[::-1]


def boxes(shape: Shape, *, boxes: Sequence[Sequence[int]]) -> Mask:
    """All pixels outside the boxes (top, left, height, width), which must lie inside the image."""
    mask = np.ones(shape, bool)
    for box in boxes:
        if len(box) != 4:
            raise InputError(f"the box {shown(box)} is no box", "give four integers: top, left, height, width")
        top, left, height, width = box
        if min(top, left) < 0 or min(height, width) < 1 or top + height > shape[0] or left + width > shape[1]:
            raise InputError(
                f"the box {box!r} (top, left, height, width) is not inside the {shape[0]} x {shape[1]} image",
                "move or shrink it",
            )
        mask[top : top + height, left : left + width] = False
    return mask


def cartesian_equispaced(shape: Shape, *, acceleration: float, centre_fraction: float = 0.08) -> Mask:
    """``round(W / acceleration)`` columns: the central ones, the rest spread evenly over the others."""

    def evenly(outside: NDArray[np.int64], count: int) -> NDArray[np.int64]:
        return outside[((np.arange(count) + 0.5) * len(outside) / max(count, 1)).astype(np.int64)]

    return _cartesian(shape, acceleration, centre_fraction, evenly)


def cartesian_random(shape: Shape, *, acceleration: float, centre_fraction: float = 0.08, seed: int = 0) -> Mask:
    """``round(W / acceleration)`` columns: the central ones, the rest drawn uniformly from the others."""
    generator = _generator(seed)
    return _cartesian(
        shape, acceleration, centre_fraction, lambda outside, count: generator.permutation(outside)[:count]
    )


def _cartesian(
    shape: Shape,
    acceleration: float,
    centre_fraction: float,
    choose: Callable[[NDArray[np.int64], int], NDArray[np.int64]],
) -> Mask:
    width = shape[1]
    if not 1 <= acceleration <= width:
        raise InputError(f"the acceleration is {acceleration!r}", f"it must be from 1 to the {width} columns")
    if not 0 <= centre_fraction <= 1:
        raise InputError(f"the centre fraction is {centre_fraction!r}", "it must be from 0 to 1")
    total, centre = round(width / acceleration), round(width * centre_fraction)
    if centre > total:
        raise InputError(
            f"the centre alone has {centre} of {width} columns, an acceleration of {acceleration:g} leaves {total}",
            "lower the centre fraction or the acceleration",
        )
    first = width // 2 - centre // 2
    columns = np.zeros(width, bool)
    columns[first : first + centre] = True
    columns[choose(np.flatnonzero(~columns), total - centre)] = True
    return to_corner(np.broadcast_to(columns, shape).copy())


def radial(shape: Shape, *, lines: int | None = None, fraction: float | None = None) -> Mask:
    """Equally spaced lines through DC, rounded to the grid: a pseudo-radial mask, which is conjugate-symmetric.

    Args:
        shape: (H, W).
        lines: their number, or None.
        fraction: in (0, 1], instead of it: the smallest number of lines that keeps as much.

    Returns:
        the mask, DC at the corner.

    Raises:
        InputError: not exactly one of the two is given, or it is out of range; too many lines for so large an image.
    """
    if (lines is None) == (fraction is None):
        raise InputError("a radial mask has either 'lines' or 'fraction'", "give exactly one of them")
    if fraction is not None:
        check_fraction("kept fraction", fraction)
        enough = 4 * max(shape)
        _check_points(shape, enough)
        lines = 1 + bisect_left(range(1, enough), fraction, key=lambda n: _radial(shape, n).mean())
    return _radial(shape, check_integer("number of lines", lines, 1, MAX_LINES))


def _radial(shape: Shape, lines: int) -> Mask:
    height, width = shape
    _check_points(shape, lines)
    rows, columns = np.arange(height) - height // 2, np.arange(width) - width // 2
    mask = np.zeros(shape, bool)
    for angle in np.pi * np.arange(lines) / lines:
        cos, sin = np.cos(angle), np.sin(angle)
        if abs(cos) >= abs(sin):  # one point per column, else one per row: no gaps
            r, c = np.rint(columns * (sin * height) / (cos * width)).astype(int), columns
        else:
            r, c = rows, np.rint(rows * (cos * width) / (sin * height)).astype(int)
        inside = (r >= rows[0]) & (r <= rows[-1]) & (c >= columns[0]) & (c <= columns[-1])
        mask[r[inside] + height // 2, c[inside] + width // 2] = True
    mask = to_corner(mask)
    return mask | negate_frequencies(mask)


def _check_points(shape: Shape, lines: int) -> None:
    """Raise InputError if drawing so many lines would take minutes."""
    if lines * max(shape) > MAX_POINTS:
        raise InputError(
            f"a radial mask of {shape[0]} x {shape[1]} points with up to {lines} lines is too large to be drawn",
            f"lines and points of the longer side may be {MAX_POINTS} together, multiplied; or give the mask itself",
        )


MaskMakers = Mapping[str, Callable[..., Mask]]

PIXEL_MASKS: MaskMakers = {"random": random_pixels, "strokes": strokes, "boxes": boxes}
KSPACE_MASKS: MaskMakers = {"equispaced": cartesian_equispaced, "random": cartesian_random, "radial": radial}


def make_mask(description: Mapping[str, Any], shape: Shape, makers: MaskMakers) -> Tensor:
    """The boolean (H, W) mask that a description names.

    Args:
        description: ``{"type": NAME, ...}`` with the options of the function of that name.
        shape: (H, W).
        makers: :data:`PIXEL_MASKS` or :data:`KSPACE_MASKS`.

    Returns:
        the mask, True where it samples.

    Raises:
        InputError: it cannot be made.
    """
    return torch.from_numpy(make_described("mask", description, makers, shape))


def check_mask(mask: Tensor, shape: Shape) -> Tensor:
    """The mask as booleans; InputError unless it is (H, W), holds only 0 and 1, and keeps something."""
    if tuple(mask.shape) != shape:
        raise InputError(f"the mask has shape {tuple(mask.shape)}", f"it must be {shape}, like the image")
    if not bool(((mask == 0) | (mask == 1)).all()):
        raise InputError("the mask holds values other than 0 and 1", "scale or threshold it first")
    if not bool(mask.any()):
        raise InputError("the mask is all zero: nothing is measured", "use a mask that keeps something (1 = kept)")
    return mask != 0


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(check_seed("mask seed", seed)))
