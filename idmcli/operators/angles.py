"""The angles of views."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.checks import is_integer, is_number

MAX_VIEWS = 100_000
SAME = 9  # decimals of degrees: angles that differ by less are one angle
SMOOTH = 10.0  # degrees over which coverage rises
WEDGE = 10.0  # a gap of more than so many middle ones was not measured, rather than measured sparsely


def number_or_degrees(angles: Any) -> int | list[float]:
    """The number of views, or the angle of each, as plain numbers of Python.

    Raises:
        InputError: there is no view, there are more than 100,000, or an angle is not finite.
    """
    if isinstance(angles, Tensor | np.ndarray):
        angles = angles.tolist()
    if is_integer(angles) and 1 <= angles <= MAX_VIEWS:
        return int(angles)
    if not isinstance(angles, Iterable) or not 1 <= len(degrees := list(islice(angles, MAX_VIEWS + 1))) <= MAX_VIEWS:
        raise InputError(f"the number of views is not from 1 to {MAX_VIEWS}", "give their number, or their angles")
    try:
        found = [float(angle) for angle in degrees if is_number(angle)]
    except OverflowError:
        found = []
    if len(found) < len(degrees) or not all(map(math.isfinite, found)):
        raise InputError("an angle is not a finite number", "give the angles in degrees")
    return found


def shares(degrees: Sequence[float], period: float) -> NDArray[np.float64]:
    """The angle that each view stands for, in radians: half the way to its neighbours on both sides, on a circle.

    Views at one angle share what it stands for. A gap of more than ten times the middle gap was not measured: the
    views beside it stand for half a middle gap on that side.

    Args:
        degrees: the angles of the views, in any order.
        period: the angle after which views repeat, in degrees.

    Example:
        >>> np.degrees(shares([0.0, 90.0, 120.0, 0.0], 180.0)).round(9)
        array([37.5, 60. , 45. , 37.5])
    """
    places, gaps, middle = _gaps(degrees, period)
    gaps = np.where(gaps > WEDGE * middle, middle, gaps)
    around = (gaps + np.roll(gaps, 1)) / 2
    which = np.searchsorted(places, _on_circle(degrees, period))
    return np.asarray(np.radians((around / np.bincount(which))[which]))


def coverage(degrees: Sequence[float], period: float, at: NDArray[np.float64]) -> NDArray[np.float64]:
    """How surely an angle was measured: 1 where it was, 0 where it was not, and smooth on the measured side.

    Args:
        degrees: the angles of the views, in any order.
        period: the angle after which views repeat, in degrees.
        at: the angles in question, in degrees.
    """
    places, gaps, middle = _gaps(degrees, period)
    inside = np.full(at.shape, SMOOTH)
    for place, gap in zip(places, gaps, strict=True):
        if gap > WEDGE * middle:
            beyond = np.mod(at - place - middle / 2, period)  # where the gap begins
            inside = np.minimum(inside, np.maximum(beyond - (gap - middle), 0))
            inside = np.minimum(inside, np.where(beyond > gap - middle, period - beyond, 0))
    return np.sin(np.pi / 2 * inside / SMOOTH) ** 2


def surround(degrees: Sequence[float], period: float) -> bool:
    """Whether views leave no gap of more than ten times the middle one."""
    _, gaps, middle = _gaps(degrees, period)
    return bool(gaps.max() <= WEDGE * middle)


def _gaps(degrees: Sequence[float], period: float) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
    """The different angles on the circle in order, the gap after each of them, and the middle gap."""
    places = np.unique(_on_circle(degrees, period))
    gaps = np.diff(places, append=places[0] + period)
    return places, gaps, float(np.median(gaps))


def _on_circle(degrees: Sequence[float], period: float) -> NDArray[np.float64]:
    return np.asarray(np.round(np.mod(degrees, period), SAME) % period, np.float64)
