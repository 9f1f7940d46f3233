"""Masks from files, and which option belongs to which kind of mask, for the tasks with masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import ConfigError, InputError
from idmcli.tasks.base import Amount, Shape

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.io.images import Image

MOST_GREY = 0.25  # share of a mask's pixels: edges are soft in some masks, photographs are grey all over
COLOUR_TOLERANCE = 0.1  # between the channels of a grey picture, which JPEG does not keep equal
_CUT = "those at half of white or above are kept"


def mask_path(path: Path, item: str) -> Path:
    """The file of a mask: the one that was named, or the one of a folder whose name is like the image's.

    Args:
        path: a file, or a folder of masks.
        item: name of the image, ``photo.png`` or ``stack.tif#3``; its mask is ``photo`` or ``stack_3`` with the
            suffix of any picture.

    Raises:
        InputError: the folder has no such mask, or several.
    """
    from idmcli.io.images import image_suffixes
    from idmcli.io.items import Item

    if not path.is_dir():
        return path
    stem = Item.parse(item).stem
    known = image_suffixes()
    found = [file for file in sorted(path.iterdir()) if file.stem == stem and file.suffix.lower() in known]
    if len(found) != 1:
        count = "no mask" if not found else f"{len(found)} masks"
        raise InputError(
            f"the folder {str(path)!r} has {count} for {item!r}",
            f"each picture needs a mask of its name, here {stem}.png",
        )
    return found[0]


def mask_notes(path: Path) -> list[str]:
    """Assumptions about a mask that :func:`read_mask` takes.

    Raises:
        ConfigError: it cannot be read.
    """
    image = _read(path)
    notes = [f"the mask {str(path)!r}: {note}" for note in image.notes]
    grey = _soft(image.pixels)
    if grey:
        notes.append(f"the mask {str(path)!r} has grey levels in {100 * grey:.2g} % of its pixels: {_CUT}")
    return notes


def read_mask(path: Path, image_shape: Shape) -> Tensor:
    """The mask in a picture, bool (H, W), True where it is white or nearer to white than to black.

    Raises:
        ConfigError: naming the file, if it cannot be read, has colours, is grey in more than a quarter of its pixels,
            or is all black.
        InputError: it has another size than the image.
    """
    import torch

    pixels, size = _read(path).pixels, image_shape[1:]
    if pixels.shape[:2] != size:
        found, wanted = (f"{height} x {width}" for height, width in (pixels.shape[:2], size))
        raise InputError(
            f"the mask {str(path)!r} is {found} pixels (height x width), the image {wanted}",
            "use a mask of the size of the image",
        )
    levels = grey_levels(pixels)
    if levels is None or _soft(levels) > MOST_GREY:
        raise ConfigError(
            f"the mask {str(path)!r} is not black and white", "save it as a PNG with only 0 (lost) and 255 (kept)"
        )
    white = levels >= 0.5
    if not white.any():
        raise ConfigError(f"the mask {str(path)!r} is all black: nothing is measured", "white pixels are kept")
    return torch.from_numpy(white)


def grey_levels(pixels: NDArray[np.float32]) -> NDArray[np.float32] | None:
    """The levels (H, W) of a grey picture, also of one that was saved in colour; None if its colours differ."""
    if pixels.ndim == 2:
        return pixels
    differs = np.ptp(pixels, axis=2).max() > COLOUR_TOLERANCE
    return None if differs else np.ascontiguousarray(pixels[..., 1])


def _read(path: Path) -> Image:
    from idmcli.io.images import read_image

    try:
        return read_image(path)
    except InputError as error:
        raise ConfigError(f"the mask {error.message}", error.hint) from error


def _soft(pixels: NDArray[np.float32]) -> float:
    """The share of the samples that are neither black nor white."""
    return float(((pixels > 0) & (pixels < 1)).mean())


def check_ratio(ratio: float, image_shape: Shape) -> None:
    """Raise InputError if a ratio of the image's points rounds to none."""
    points = image_shape[1] * image_shape[2]
    if ratio * points < 0.5:
        raise InputError(
            f"a ratio of {ratio:g} of {points} points measures nothing", f"the smallest ratio is {1 / points:g}"
        )


def extreme_mask(path: Path, amount: Amount) -> list[str]:
    """A warning if a mask looks as if black and white had changed places."""
    if 0.01 <= amount.ratio <= 0.95:
        return []
    return [f"the mask {str(path)!r} keeps {amount.text}; white pixels are kept"]


def mask_conflicts(options: Any, owners: dict[str, str], required: dict[str, str]) -> list[tuple[tuple[str, ...], str]]:
    """:func:`choice_conflicts` of the field ``mask``."""
    return choice_conflicts("mask", options, owners, required)


def choice_conflicts(
    choice: str, options: Any, owners: dict[str, str], required: dict[str, str]
) -> list[tuple[tuple[str, ...], str]]:
    """Keys that are set for another kind of a mask or kernel, and those that the kind needs and that are not set.

    Args:
        choice: the field that names the kind.
        options: with that field.
        owners: key to the kind, or kinds separated by "|", that it belongs to; a key counts as set unless it is
            None or empty.
        required: kind to the key it needs.
    """
    found: list[tuple[tuple[str, ...], str]] = []
    chosen = getattr(options, choice)
    for key, kinds in owners.items():
        if getattr(options, key) not in (None, ()) and chosen not in kinds.split("|"):
            expected = " or ".join(f'"{kind}"' for kind in kinds.split("|"))
            found.append(((key, choice), f"{key} is for {choice} = {expected}"))
    needed = required.get(chosen)
    if needed is not None and getattr(options, needed) in (None, ()):
        found.append(((choice,), f'{choice} = "{chosen}" needs operator.{needed}'))
    return found
