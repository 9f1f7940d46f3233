"""From intensities to line integrals, by the law of Lambert and Beer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

LEAST = 1e-4  # of the intensity without an object: where nothing arrives, this much is taken to


def line_integrals(
    views: NDArray[np.float32], white: NDArray[np.float32] | float, dark: NDArray[np.float32] | float
) -> tuple[NDArray[np.float32], int]:
    """``-log((I - dark) / (white - dark))``, with the means of the frames without object and without beam.

    Cells in which white is not above dark are dead: they take the mean of their nearest live neighbours.

    Args:
        views: intensities I, (views, detectors).
        white: intensities without an object, (frames, detectors), or one for all cells.
        dark: readings without a beam, likewise.

    Returns:
        line integrals, (views, detectors), and the number of readings that could not be taken as they are: those of
        dead cells, and those under a ten-thousandth of white.
    """
    cells = views.shape[1]
    low, high = (np.broadcast_to(np.mean(np.atleast_2d(field), 0), cells) for field in (dark, white))
    live = high > low
    share = (views - low) / np.where(live, high - low, 1)
    lost = (share < LEAST) | ~live | ~np.isfinite(share)
    integrals = -np.log(np.where(lost, LEAST, share))
    if live.any() and not live.all():
        place = np.arange(cells)
        integrals = np.stack([np.interp(place, place[live], view[live]) for view in integrals])
    return integrals.astype(np.float32), int(lost.sum())


def looks_like_intensities(views: NDArray[np.float32]) -> bool:
    """Whether the outermost cells, which see the least of an object, hold values nearer to the highest than to the
    lowest.
    """
    edge = max(1, views.shape[1] // 50)
    outer = min(float(np.median(views[:, :edge])), float(np.median(views[:, -edge:])))
    low, high = np.percentile(views, [1, 99])
    return bool(outer > (low + high) / 2)
