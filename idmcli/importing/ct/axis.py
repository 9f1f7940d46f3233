"""The axis of rotation, from rays that were measured twice, from both sides.

The ray at position s in the view at angle t is that at the mirrored position ``2 axis - s`` in the view at
``t + 180 + 2 g``, with g the angle of the ray in its fan (0 for parallel beams).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError

WHOLE = 256  # cells at most for which all positions are tried; of more, those near the best one of cells in pairs
REACH = 3.0  # cells around that one
VIEWS = 90  # compared with their opposites at most
OPEN = 3.0  # times the middle distance of two angles: a wider gap was not measured
WIDEST = 90.0  # degrees, of a gap that was measured, however few views there are
NEAR = 1.25  # times the middle distance: so far into such a gap views are extrapolated
OVERLAP = 0.25  # of the cells of one view at least must have been measured twice

Array = NDArray[np.float64]


def find_axis(views: NDArray[np.floating], degrees: Array, distance: float = math.inf) -> float:
    """The position on the detector that sees the axis of rotation, in cells from the first one.

    It is where rays and their opposites differ least in the mean square, among positions half a cell apart between a
    quarter and three quarters of the detector; a parabola through the least mean square and its neighbours refines it.

    Args:
        views: line integrals, (views, detectors).
        degrees: angles of the views.
        distance: of the source from the detector, in cells; infinite for parallel beams.

    Returns:
        the position.

    Raises:
        InputError: too few rays were measured from both sides, or no position fits better than all others.
    """
    cells = views.shape[1]
    if cells > WHOLE:
        pairs = views[:, : cells // 2 * 2].reshape(len(views), -1, 2).mean(2)
        rough = round(2 * (2 * find_axis(pairs, degrees, distance / 2) + 0.5)) / 2
        candidates = np.arange(rough - REACH, rough + REACH + 0.5, 0.5)
    else:
        candidates = np.arange(cells // 4, cells - cells // 4, 0.5)
    opposites = _Views(views.astype(np.float64), degrees)
    misfits = np.array([_misfit(opposites, axis, distance) for axis in candidates])
    known = np.isfinite(misfits)
    if not known.any():
        raise InputError(
            "too few rays were measured from both sides for the axis of rotation to be found",
            "give its position on the detector: --axis CELLS, or --axis middle",
        )
    best = int(np.argmin(np.where(known, misfits, np.inf)))
    if not 0 < best < len(candidates) - 1 or not known[best - 1 : best + 2].all():
        raise InputError(
            "opposite views fit nowhere near the middle of the detector, so that the axis cannot be found",
            "check the angles, or give the axis of rotation: --axis CELLS",
        )
    before, here, after = misfits[best - 1 : best + 2]
    bend = before - 2 * here + after
    return float(candidates[best] + (0.25 * (before - after) / bend if bend > 0 else 0))


def _misfit(views: _Views, axis: float, distance: float) -> float:
    """The mean square of the differences of rays and their opposites; NaN if too few were measured twice."""
    cells = np.arange(views.values.shape[1])
    mirrored = np.round(2 * axis - cells).astype(int)
    inside = (mirrored >= 0) & (mirrored < len(cells))
    turn = 180 + 2 * np.degrees(np.arctan((cells - axis) / distance))
    some = views.some
    found = views.at(views.angles[some, None] + turn[inside], mirrored[inside])
    both = np.isfinite(found)
    if both.sum() < OVERLAP * len(cells):
        return math.nan
    return float(((found - views.values[some][:, inside])[both] ** 2).mean())


class _Views:
    """Views at any angle, by linear interpolation between two neighbours.

    Attributes:
        values: (views, detectors), in the order of their angles, each angle once.
        angles: from 0 to 360, in degrees.
        some: the numbers of at most so many views as are compared, with those beside wide gaps among them.
    """

    def __init__(self, values: Array, degrees: Array) -> None:
        places, which = np.unique(np.round(np.mod(degrees, 360), 9), return_index=True)
        self.angles: Array = places.astype(np.float64)
        self.values, count = values[which], len(which)
        gaps = np.diff(self.angles, append=self.angles[0] + 360)
        self._step = float(np.median(gaps))
        self._open = gaps > min(OPEN * self._step, WIDEST)  # by the view before the gap
        evenly = np.linspace(0, count - 1, min(VIEWS, count)).round().astype(int)
        before = np.flatnonzero(self._open)
        self.some = np.unique(np.concatenate([evenly, before, (before + 1) % count]))

    def at(self, degrees: Array, cells: NDArray[np.int_]) -> Array:
        """The values at angles (n, m) of cells (m,); NaN where no view is near."""
        count = len(self.angles)
        left = (np.searchsorted(self.angles, np.mod(degrees, 360), side="right") - 1) % count
        past, ahead = self._between(self.angles[left], degrees), self._between(degrees, self.angles[(left + 1) % count])
        wide = self._open[left]
        left = np.where(wide, np.where(past <= ahead, left - 1, left + 1) % count, left)  # of the pair to extrapolate
        right = (left + 1) % count
        near = ~wide | (np.minimum(past, ahead) <= NEAR * self._step)
        start = np.mod(degrees - self.angles[left] + 180, 360) - 180
        share = start / np.maximum(self._between(self.angles[left], self.angles[right]), 1e-9)
        value = (1 - share) * self.values[left, cells] + share * self.values[right, cells]
        return np.where(near & ~self._open[left], value, np.nan)

    @staticmethod
    def _between(first: Array, second: Array) -> Array:
        """The angle from one to the other."""
        return np.asarray(np.mod(second - first, 360))
