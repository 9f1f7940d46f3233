"""The geometry of a scan, as options state it."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats import Numbers, format_of
from idmcli.io.formats.sinogram import AngleUnit, Fan
from idmcli.io.items import Item

WRITE_ANGLES = "write a file of them, START:STOP for evenly spaced ones without the last, or a list"
WRITE_FAN = "write SOD,SDD,PITCH or SOD,SDD,PITCH,OFFSET, all in one unit"
FEW = 8  # angles that all are less than 2 pi may be degrees


def angles_of(text: str, views: int | None) -> NDArray[np.float64]:
    """The angles that --angles names.

    Args:
        text: START:STOP, a list with commas, or a file of numbers.
        views: how many START:STOP gives; None if that is not known.

    Raises:
        InputError: it is none of these, or cannot be read.
    """
    start, colon, stop = text.partition(":")
    ends = _numbers([start, stop]) if colon else None
    if ends is not None:
        if views is None:
            raise InputError(
                "it is not known whether rows or columns of the sinogram are its views", "say so: --views rows|columns"
            )
        return np.linspace(ends[0], ends[1], views, endpoint=False)
    listed = _numbers(text.split(","))
    if listed is not None:
        return np.array(listed)
    values = numbers_of("--angles", text, WRITE_ANGLES)
    if values.ndim > 2 or values.size != max(values.shape, default=0):
        raise InputError(f"--angles {text!r} holds numbers of the shape {values.shape}", "give one angle for each view")
    return values.ravel()


def in_degrees(angles: NDArray[np.float64], unit: AngleUnit | None, name: str) -> NDArray[np.float64]:
    """Angles in degrees.

    Args:
        angles: of the views.
        unit: of them; None if it is not known, and then they are degrees unless they look like radians.
        name: of the file, for the message.

    Raises:
        InputError: they are not finite, or may be radians.
    """
    if not np.isfinite(angles).all():
        raise InputError(f"{name}: an angle is not a finite number", "correct the angles")
    if unit is None and len(angles) > FEW and np.ptp(angles) <= 2.001 * math.pi:
        raise InputError(
            f"{name}: the angles lie within {np.ptp(angles):.3g}, and may be degrees or radians",
            "say so: --angle-unit degrees|radians",
        )
    return np.degrees(angles) if unit == "radians" else angles


def fan_of(text: str) -> Fan:
    """The geometry that --fan gives.

    Raises:
        InputError: it is none.
    """
    numbers = _numbers(text.split(","))
    if numbers is None or len(numbers) not in (3, 4) or min(numbers[:3]) <= 0:
        raise InputError(f"--fan {text!r} is no geometry of a fan beam", WRITE_FAN)
    source_axis, source_detector, pitch, *offset = numbers
    return Fan(source_axis, source_detector, pitch, offset[0] if offset else 0.0)


def numbers_of(option: str, text: str, hint: str) -> NDArray[Any]:
    """The real numbers in a file that an option names.

    Args:
        option: for messages, "--white" for example.
        text: the file, or FILE#N for one of several arrays in it.
        hint: what to write instead if there is no such file.

    Raises:
        InputError: it cannot be read, or holds other numbers.
    """
    item = Item.parse(text)
    if not Path(item.path).is_file():
        raise InputError(f"{option} {text!r} is no file, and no number", hint)
    format = format_of(item.path)
    if format is None or format.gives is not Numbers:
        raise InputError(f"{option} {text!r} is no file of numbers", "save it as .npy, .csv or .txt")
    values = np.asarray(format.read(item).values)
    if values.dtype.kind not in "biuf" or not values.size:
        raise InputError(f"{option} {text!r} holds no real numbers", hint)
    return values.astype(np.float64)


def _numbers(texts: list[str]) -> list[float] | None:
    """Finite numbers; None if one of the texts is none."""
    try:
        found = [float(text) for text in texts]
    except ValueError:
        return None
    return found if all(map(math.isfinite, found)) else None
