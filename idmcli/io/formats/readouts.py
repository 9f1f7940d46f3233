"""Readouts of a scanner, put where they belong in k-space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats.kspace import Places, Samples


class Readout(NamedTuple):
    """One line of k-space as it was measured.

    Attributes:
        samples: complex64, (coils, N), in the order of rising frequency.
        first: the column of the first sample; less than 0 or beyond the last column for what is cut off.
        row, partition: where the line belongs.
    """

    samples: Samples
    first: int
    row: int
    partition: int = 0


class Grid(NamedTuple):
    """Gridded k-space.

    Attributes:
        samples: complex64, (coils, partitions, rows, columns): the mean of what was measured repeatedly.
        counts: how often each point was measured, (partitions, rows, columns).
    """

    samples: Samples
    counts: NDArray[np.int64]


def oriented(samples: Samples, centre: int, discard: tuple[int, int], reverse: bool) -> tuple[Samples, int]:
    """A readout without what is to be discarded, in the order of rising frequency.

    Args:
        samples: (coils, N), in the order of time.
        centre: the sample with frequency zero, counted from 0 in the order of rising frequency.
        discard: how many samples at the beginning and at the end, in the order of time, hold nothing.
        reverse: whether the line was read from high frequencies to low ones.

    Returns:
        the samples, and where frequency zero is among them.
    """
    before, after = discard
    kept = samples[:, before : samples.shape[1] - after]
    return (kept[:, ::-1], centre - after) if reverse else (kept, centre - before)


def gridded(readouts: Sequence[Readout], shape: tuple[int, int, int], name: str) -> Grid:
    """K-space of readouts.

    Args:
        readouts: at least one, of the same coils.
        shape: (partitions, rows, columns).
        name: of the file, for messages.

    Raises:
        InputError: a readout lies outside the grid, or has other coils than the first.
    """
    coils, columns = len(readouts[0].samples), shape[2]
    total = np.zeros((coils, *shape), np.complex64)
    counts = np.zeros(shape, np.int64)
    for readout in readouts:
        inside = 0 <= readout.partition < shape[0] and 0 <= readout.row < shape[1]
        if not inside or len(readout.samples) != coils:
            raise InputError(
                f"{name}: a readout of {len(readout.samples)} coils belongs at line {readout.row}, partition "
                f"{readout.partition}, and k-space has {coils} coils, {shape[1]} lines and {shape[0]} partitions",
                "check the encoding limits in its header",
            )
        start, stop = max(readout.first, 0), min(readout.first + readout.samples.shape[1], columns)
        if start < stop:
            place = (readout.partition, readout.row, slice(start, stop))
            total[(slice(None), *place)] += readout.samples[:, start - readout.first : stop - readout.first]
            counts[place] += 1
    total /= np.maximum(counts, 1)
    return Grid(total, counts)


def padding_of(shape: tuple[int, int], axis: int, first: int, last: int) -> Places | None:
    """The points of k-space that lie beyond a range of lines on both sides, and are zero in the scanner's image.

    Lines that are missing on one side only, where a scan relies on the symmetry of k-space, are no padding.

    Args:
        shape: (H, W), zero frequency at N // 2.
        axis: that the lines are counted along.
        first, last: the range that the scan covers.

    Returns:
        boolean, (H, W); None if there are none.
    """
    middle = shape[axis] // 2
    beyond = np.abs(np.arange(shape[axis]) - middle) > max(middle - first, last + 1 - middle)
    if not beyond.any():
        return None
    return np.broadcast_to(beyond if axis else beyond[:, None], shape).copy()
