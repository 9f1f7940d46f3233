"""Sinograms: what the formats of tomography have in common."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError

MAX_VALUES = 2**29  # of one sinogram

AngleUnit = Literal["degrees", "radians"]


class Fan(NamedTuple):
    """The geometry of a fan beam with a flat detector; lengths have one unit.

    Attributes:
        source_axis: distance of the source from the axis of rotation.
        source_detector: distance of the source from the detector.
        pitch: distance of two detector cells.
        offset: how far the middle of the detector lies beyond the ray through the axis, along the detector.
        unit: of the lengths, "mm" for example; empty if it is not known.
    """

    source_axis: float
    source_detector: float
    pitch: float
    offset: float = 0.0
    unit: str = ""


@dataclass(frozen=True, eq=False)
class Sinogram:
    """The views of one slice, in the order of their file.

    Attributes:
        views: real numbers, (views, detectors).
        integrals: whether they are line integrals; False for intensities, None if the format says nothing.
        angles: of the views, (views,); None if the file has none.
        angle_unit: of ``angles``; None if the file does not say.
        white: intensities without an object, (frames, detectors); None if there are none.
        dark: readings without a beam, likewise.
        fan: the geometry of a fan beam; None for parallel beams.
        aligned: whether the format has the axis of rotation in the middle of the detector.
        facts: what else the file says, name to value, JSON-able.
    """

    views: NDArray[Any]
    integrals: bool | None = None
    angles: NDArray[Any] | None = None
    angle_unit: AngleUnit | None = None
    white: NDArray[Any] | None = None
    dark: NDArray[Any] | None = None
    fan: Fan | None = None
    aligned: bool = False
    facts: Mapping[str, Any] = field(default_factory=dict)


def check_views(name: str, shape: tuple[int, ...]) -> tuple[int, int]:
    """The numbers of views and detector cells, before they are allocated.

    Args:
        name: of the file, for the message.
        shape: of an array that should be a sinogram.

    Raises:
        InputError: it has no two axes, is empty or too large.
    """
    text = " x ".join(map(str, shape)) or "one number"
    if len(shape) != 2 or min(shape) < 1:
        raise InputError(f"{name} holds {text} where a sinogram has views and detector cells", "give one slice")
    if shape[0] * shape[1] > MAX_VALUES:
        raise InputError(f"{name} claims {text} values, more than can be read", "check the file")
    return shape[0], shape[1]


def real_views(name: str, values: NDArray[Any]) -> NDArray[Any]:
    """The values of a sinogram in single precision.

    Args:
        name: of the file, for the message.
        values: (views, detectors).

    Raises:
        InputError: as :func:`check_views`; or they are no real numbers.
    """
    check_views(name, values.shape)
    if values.dtype.kind not in "biuf":
        raise InputError(f"{name} holds no real numbers", "give the sinogram as real numbers")
    return np.ascontiguousarray(values, np.float32)
