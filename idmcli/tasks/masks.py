"""Masks from files, and which option belongs to which kind of mask, for the tasks with masks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from idmcli.errors import ConfigError, InputError
from idmcli.tasks.base import Shape

if TYPE_CHECKING:
    from torch import Tensor


def read_mask(path: Path, image_shape: Shape) -> Tensor:
    """The mask in a black-and-white picture, bool (H, W), True where it is white.

    Raises:
        ConfigError: naming the file, if it cannot be read, has colours or grey levels, or is all black.
        InputError: it has another size than the image.
    """
    import torch

    from idmcli.io.images import read_image

    try:
        pixels, size = read_image(path).pixels, image_shape[1:]
    except InputError as error:
        raise ConfigError(f"the mask {error.message}", error.hint) from error
    if pixels.shape[:2] != size:
        found, wanted = (f"{height} x {width}" for height, width in (pixels.shape[:2], size))
        raise InputError(
            f"the mask {str(path)!r} is {found} pixels (height x width), the image {wanted}",
            "use a mask of the size of the image",
        )
    samples = pixels.reshape(*size, -1)
    white = (samples == 1).all(axis=2)
    if not (white | (samples == 0).all(axis=2)).all():
        raise ConfigError(
            f"the mask {str(path)!r} is not black and white", "save it as a PNG with only 0 (lost) and 255 (kept)"
        )
    if not white.any():
        raise ConfigError(f"the mask {str(path)!r} is all black: nothing is measured", "white is what is kept")
    return torch.from_numpy(white)


def check_ratio(ratio: float, image_shape: Shape) -> None:
    """Raise InputError if a ratio of the image's points rounds to none."""
    points = image_shape[1] * image_shape[2]
    if ratio * points < 0.5:
        raise InputError(
            f"a ratio of {ratio:g} of {points} points measures nothing", f"the smallest ratio is {1 / points:g}"
        )


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
