"""Arrays of BART: a text header ``.hdr`` beside the samples ``.cfl``, single-precision complex and column-major."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.files import PERMISSIONS, require_file
from idmcli.io.formats.base import MAX_PIXELS, head_of
from idmcli.io.formats.kspace import (
    KSpace,
    KSpaceFormat,
    Samples,
    check_sides,
    choose_item,
    numbered,
    separable_axis,
    slice_at,
)
from idmcli.io.items import Item

MARK = b"# Dimensions"  # the line before the sizes
DIMENSIONS = 16
COIL, MAPS, ECHO, TIME, SLICE, AVERAGE = 3, 4, 5, 10, 13, 14  # three spatial ones come before
MAX_HEADER = 2**20  # bytes


class Cfl(KSpaceFormat):
    """K-space as BART writes it: read and two phase directions, coils, and whatever else there is, DC in the centre."""

    name = "BART"
    suffixes = (".cfl",)

    def recognises(self, path: Path) -> bool:
        """Whether there is a header of BART's beside a .cfl file; or whether it is such a header itself."""
        try:
            return path.suffix in (".cfl", ".hdr") and head_of(path.with_suffix(".hdr")).startswith(MARK)
        except (InputError, ValueError):
            return False

    def items(self, path: Path) -> list[Item]:
        """The slices, echoes, repetitions and whatever else the file holds."""
        return numbered(path, _Array(path).count)

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> KSpace:
        """One slice.

        Three-dimensional k-space is transformed along an axis that is fully sampled.

        Raises:
            InputError: a file is missing or damaged, or holds no k-space of an image; or the item names none of
                several.
        """
        array = _Array(item.path)
        place = choose_item(item, array.count, "slices")
        samples, notes = array.slice_of(place)
        sampled = (samples != 0).any(0)
        facts = {"coils": len(samples), **array.facts(place)}
        return KSpace(samples, sampled, centred=True, readout=array.readout, facts=facts, notes=tuple(notes))

    def noise(self, path: Path) -> Samples:
        """All samples of the file, by coil."""
        values = _Array(path).values
        return np.array(np.moveaxis(values, COIL, 0).reshape(values.shape[COIL], -1))


class _Array:
    """The array of one file.

    Attributes:
        values: (16 dimensions), as they lie on the disk.
        spatial: the spatial dimensions that have more than one point.
        axis: of three of those, the one that is transformed into slices.
    """

    def __init__(self, path: Path) -> None:
        self.name = repr(str(path))
        if path.suffix == ".hdr":
            raise InputError(f"{self.name} is the header of an array of BART", f"name {path.with_suffix('.cfl').name}")
        self.values = _values(path)
        self.spatial = tuple(axis for axis in range(3) if self.values.shape[axis] > 1)
        self.axis = self._separable() if len(self.spatial) == 3 else None

    @property
    def others(self) -> tuple[int, ...]:
        """The sizes of the dimensions whose places are items: all but space, coils, maps and averages."""
        return tuple(1 if axis == AVERAGE else size for axis, size in enumerate(self.values.shape[ECHO:], start=ECHO))

    @property
    def slices(self) -> int:
        """The slices of one volume."""
        return 1 if self.axis is None else self.values.shape[self.axis]

    @property
    def count(self) -> int:
        """The number of items."""
        return math.prod(self.others) * self.slices

    @property
    def readout(self) -> int | None:
        """The axis of a slice along which lines were read out: BART's first dimension."""
        kept = [axis for axis in self.spatial if axis != self.axis]
        return kept.index(0) if 0 in kept else None

    def facts(self, place: int) -> dict[str, Any]:
        names = {ECHO: "echo", TIME: "repetition", SLICE: "slice"}
        where = np.unravel_index(place // self.slices, self.others)
        counted = zip(range(ECHO, DIMENSIONS), where, self.others, strict=True)
        found = {names.get(axis, f"dimension {axis}"): f"{n + 1} of {size}" for axis, n, size in counted if size > 1}
        return found | ({"position": f"{place % self.slices + 1} of {self.slices}"} if self.slices > 1 else {})

    def slice_of(self, place: int) -> tuple[Samples, list[str]]:
        """K-space of one item, (coils, H, W), and what was done for it."""
        if len(self.spatial) < 2:
            sides = " x ".join(map(str, self.values.shape[:3]))
            raise InputError(
                f"{self.name} holds {sides} points, which is no k-space of an image",
                "a noise scan is given with --noise-scan",
            )
        where = np.unravel_index(place // self.slices, self.others)
        picked = [
            slice(None) if axis == AVERAGE else int(n) for axis, n in zip(range(ECHO, DIMENSIONS), where, strict=True)
        ]
        values = self.values[(..., 0, *picked)]  # read, two phases, coils, averages
        notes = []
        if self.values.shape[MAPS] > 1:
            notes.append(f"the first of {self.values.shape[MAPS]} sets of maps")
        if self.values.shape[AVERAGE] > 1:
            notes.append(f"mean of {self.values.shape[AVERAGE]} averages")
        volume: NDArray[Any] = np.moveaxis(values.mean(-1), -1, 0)  # coils first
        check_sides(
            self.name, tuple(self.values.shape[axis] for axis in self.spatial if axis != self.axis), len(volume)
        )
        if self.axis is not None:
            volume = slice_at(volume, self.axis + 1, place % self.slices)
            notes.append(f"Fourier transform along dimension {self.axis}, which is fully sampled, gives slices")
        else:
            volume = volume.squeeze(tuple(axis + 1 for axis in range(3) if axis not in self.spatial))
        return np.ascontiguousarray(volume, np.complex64), notes

    def _separable(self) -> int:
        first = self.values.reshape(*self.values.shape[:4], -1, order="F")[:, :, :, 0, 0] != 0
        axis = separable_axis(first.transpose(2, 0, 1))  # the second phase first: slices as usual
        if axis is None:
            raise InputError(
                f"{self.name} holds three-dimensional k-space that is undersampled along all three axes",
                "idm reconstructs slices: transform it along one axis first",
            )
        return (2, 0, 1)[axis]


def _values(path: Path) -> NDArray[np.complex64]:
    """The array, mapped into memory; errors as :meth:`Cfl.read`."""
    header = path.with_suffix(".hdr")
    require_file(path)
    require_file(header)
    try:
        with header.open("rb") as file:
            lines = file.read(MAX_HEADER).split(b"\n")
        size = path.stat().st_size
    except OSError as error:
        raise InputError(f"{str(header)!r} cannot be read: {error.strerror}", PERMISSIONS) from error
    shape = _shape(lines, repr(str(header)))
    claimed = math.prod(shape) * 8
    if claimed != size:
        sizes = " x ".join(map(str, shape))
        raise InputError(
            f"{str(path)!r} has {size} bytes, and its header says {sizes}, which take {claimed}",
            "copy both files again",
        )
    try:
        return np.memmap(path, np.dtype("<c8"), "r", shape=(*shape, *[1] * (DIMENSIONS - len(shape))), order="F")
    except (OSError, ValueError) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}", PERMISSIONS) from error


def _shape(lines: list[bytes], name: str) -> tuple[int, ...]:
    """The sizes in a header."""
    try:
        words = lines[lines.index(MARK) + 1].split()
        shape = tuple(int(word) for word in words if len(word) < 12)
        if not 1 <= len(shape) == len(words) <= DIMENSIONS or min(shape) < 1:
            raise ValueError
    except (ValueError, IndexError):
        raise InputError(f"{name} is not a readable header of BART's", "copy it again") from None
    return shape
