"""K-space of scanners: what its formats have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats.base import Format
from idmcli.io.items import Item

MAX_BYTES = 2**32  # of the k-space of one item
MAX_SIDE = 65_536  # points of k-space along one axis

Samples = NDArray[np.complex64]
Places = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class KSpace:
    """One slice of k-space on its Cartesian grid, in the order of its file.

    Attributes:
        samples: complex64, (coils, H, W): means over what was measured repeatedly; zero where nothing was measured.
        sampled: boolean, (H, W): the points that were measured.
        padding: boolean, (H, W): points that were not measured, and that the scanner's image takes as zero, because
            they lie beyond the measured frequencies on both sides; None if there are none.
        centred: whether the format puts the zero frequency at (H // 2, W // 2); None if it says nothing.
        readout: the axis, 0 or 1, along which lines were read out; None if both axes are phase-encoded, or not known.
        fov: (rows, columns) of the image within the field of view that was asked for; fewer than H or W where the
            scanner measured a larger one.
        noise: complex64, (coils, N), samples of noise alone, with the variance of the samples of k-space before means
            are taken; None if there are none.
        calibration: complex64, (coils, h, w), the centre of k-space, measured for coil calibration alone; None if there
            is none.
        repeats: how often each point was measured; the harmonic mean where that differs.
        facts: what else the file says, name to value, JSON-able.
        notes: a short phrase for each conversion that took place.
    """

    samples: Samples
    sampled: Places
    padding: Places | None = None
    centred: bool | None = None
    readout: int | None = None
    fov: tuple[int, int] | None = None
    noise: Samples | None = None
    calibration: Samples | None = None
    repeats: float = 1
    facts: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class KSpaceFormat(Format[KSpace]):
    """A format of scanners' files; each slice, echo and repetition is an item."""

    gives = KSpace

    @abstractmethod
    def noise(self, path: Path) -> Samples:
        """The samples of noise in a file that holds a noise scan: complex64, (coils, N). Errors as :meth:`read`."""


def choose_item(item: Item, count: int, what: str) -> int:
    """The index, from 0, of one of the items of a file.

    Args:
        item: the file, and which part of it.
        count: how many it holds.
        what: they are, in the plural.

    Raises:
        InputError: the item names none of several, or one that is not there.
    """
    if item.number is None and count != 1:
        raise InputError(f"{str(item.path)!r} holds {count} {what}", f"name one as FILE#N, with N from 1 to {count}")
    if (item.number or 1) > count:
        raise InputError(f"{str(item)!r} is not there: the file holds {count} {what}", "N runs from 1")
    return (item.number or 1) - 1


def numbered(path: Path, count: int) -> list[Item]:
    """The items of a file that holds so many; the file itself if that is one."""
    return [Item(path)] if count == 1 else [Item(path, number) for number in range(1, count + 1)]


def check_sides(name: str, sides: tuple[int, ...], coils: int) -> None:
    """Refuse k-space whose size is absurd, before it is allocated.

    Args:
        name: of the file, for the message.
        sides: points along each axis.
        coils: their number.

    Raises:
        InputError: it is empty or too large.
    """
    if min(*sides, coils) < 1:
        raise InputError(f"{name} holds no k-space: {coils} coils, {_by(sides)} points", "check which file it is")
    if max(sides) > MAX_SIDE or coils * int(np.prod(sides, dtype=object)) * 8 > MAX_BYTES:
        raise InputError(f"{name} claims {coils} coils of {_by(sides)} points, more than can be read", "check the file")


def separable_axis(sampled: Places) -> int | None:
    """The axis of three-dimensional k-space along which every position is sampled alike.

    Along it an inverse Fourier transform gives independent slices. If there are several, it is the first.

    Args:
        sampled: boolean, three axes.

    Returns:
        the axis; None if there is none.
    """
    return next((axis for axis in range(3) if bool((sampled == sampled.take([0], axis)).all())), None)


def slice_at(volume: NDArray[Any], axis: int, position: int) -> Samples:
    """One slice of the centred orthonormal inverse Fourier transform along one axis, from that axis's DFT alone.

    ``x_n = sum_k X_k exp(2 pi i (k - K // 2) (n - K // 2) / K) / sqrt(K)``

    Args:
        volume: k-space, any axes.
        axis: to transform; it is missing in the result.
        position: n.
    """
    count = volume.shape[axis]
    k = np.arange(count) - count // 2
    row = np.exp(2j * np.pi * k * (position - count // 2) / count) / np.sqrt(count)
    return np.tensordot(volume, row.astype(np.complex64), (axis, 0)).astype(np.complex64)


def _by(sides: tuple[int, ...]) -> str:
    return " x ".join(map(str, sides))
