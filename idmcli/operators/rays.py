"""Where the rays of a view run: parallel, or from a point.

A view at angle t has the directions ``u = (cos t, -sin t)`` along the detector and ``v = (sin t, cos t)`` towards it,
as (column, row) components. All lengths are in pixels, and positions are counted from the axis of rotation.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Rays(Protocol):
    """The rays of one view, and how many detector cells measure them.

    Attributes:
        detectors: their number.
        mirrored: whether the mirrored image has, at the mirrored angle, the same view.
        spacing: distance of two rays at the axis.
    """

    @property
    def detectors(self) -> int: ...

    @property
    def mirrored(self) -> bool: ...

    @property
    def spacing(self) -> float: ...

    def lines(self, angle: float) -> tuple[Array, Array, Array]:
        """The rays ``n_c c + n_r r = s`` of the view at an angle in radians: (n_c, n_r, s), each (detectors,)."""

    def positions(self, angle: float, c: Array, r: Array) -> tuple[Array, Array]:
        """Where a view sees the points (c, r), in cells from the first, and the weight of back-projection there."""


class ParallelRays(NamedTuple):
    """The point (c, r) is seen at ``axis + (c cos t - r sin t) / pitch``.

    Attributes:
        detectors: their number.
        axis: the position that sees the axis of rotation, in cells from the first.
        pitch: distance of two cells.
    """

    detectors: int
    axis: float
    pitch: float = 1.0

    @property
    def mirrored(self) -> bool:
        return True

    @property
    def spacing(self) -> float:
        return self.pitch

    def lines(self, angle: float) -> tuple[Array, Array, Array]:
        s = (np.arange(self.detectors, dtype=np.float64) - self.axis) * self.pitch
        return np.full_like(s, np.cos(angle)), np.full_like(s, -np.sin(angle)), s

    def positions(self, angle: float, c: Array, r: Array) -> tuple[Array, Array]:
        return self.axis + (c * np.cos(angle) - r * np.sin(angle)) / self.pitch, np.ones(np.broadcast(c, r).shape)


class FanRays(NamedTuple):
    """The source is at ``-source_axis v``, and the flat detector ``source_detector`` from it.

    The point (c, r) with ``a = u . (c, r)`` and ``b = v . (c, r)`` is seen at
    ``axis + a source_detector / (source_axis + b) / pitch``.

    Attributes:
        detectors: their number.
        axis: the position that sees the axis of rotation, in cells from the first.
        source_axis: distance of the source from the axis of rotation.
        source_detector: distance of the source from the detector.
        pitch: distance of two cells.
    """

    detectors: int
    axis: float
    source_axis: float
    source_detector: float
    pitch: float

    @property
    def mirrored(self) -> bool:
        return False  # the detector would be mirrored too

    @property
    def spacing(self) -> float:
        return self.pitch * self.source_axis / self.source_detector

    @property
    def across(self) -> Array:
        """Where the cells are along the detector, (detectors,)."""
        return np.asarray((np.arange(self.detectors, dtype=np.float64) - self.axis) * self.pitch)

    def lines(self, angle: float) -> tuple[Array, Array, Array]:
        cos, sin, q = np.cos(angle), np.sin(angle), self.across
        length = np.hypot(self.source_detector, q)
        n_c, n_r = self.source_detector * cos - q * sin, -self.source_detector * sin - q * cos
        return n_c / length, n_r / length, q * self.source_axis / length

    def positions(self, angle: float, c: Array, r: Array) -> tuple[Array, Array]:
        """The weight is ``(source_axis / (source_axis + b))^2`` (Kak & Slaney, 1988, Eq. 3.73)."""
        cos, sin = np.cos(angle), np.sin(angle)
        nearness = self.source_axis / (self.source_axis + c * sin + r * cos)
        magnified = nearness * self.source_detector / self.source_axis / self.pitch
        return self.axis + (c * cos - r * sin) * magnified, nearness**2
