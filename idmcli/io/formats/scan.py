"""A scan as its readouts: from what a scanner wrote, line by line, to the k-space of each slice."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from idmcli.errors import InputError
from idmcli.io.formats.kspace import KSpace, Places, Samples, check_sides, separable_axis, slice_at
from idmcli.io.formats.readouts import Grid, Readout, gridded, oriented, padding_of

PARTS = ("slice", "echo", "phase", "repetition", "set")  # what, beside the place in k-space, tells readouts apart


class Purpose(Enum):
    """The purpose of a readout."""

    IMAGE = "image"
    CALIBRATION = "coil calibration"
    BOTH = "image and coil calibration"
    NOISE = "noise"
    OTHER = "something else"


class Head(NamedTuple):
    """The facts about a readout that are known before its samples are read.

    Attributes:
        purpose: what it was measured for.
        part: the numbers of :data:`PARTS`.
        row, partition: where it belongs in k-space.
        centre: the sample with frequency zero, in the order of rising frequency.
        discard: how many samples at the beginning and at the end hold nothing.
        reverse: whether it was read from high frequencies to low ones.
    """

    purpose: Purpose
    part: tuple[int, ...]
    row: int
    partition: int
    centre: int
    discard: tuple[int, int] = (0, 0)
    reverse: bool = False


@dataclass(frozen=True)
class Scan:
    """A Cartesian scan.

    Attributes:
        name: of the file, for messages.
        heads: of all readouts, in the order of the file.
        load: the samples of some of them, by their numbers: complex64, (coils, N) each.
        coils: their number.
        shape: of k-space: (partitions, rows, columns), with frequency zero at N // 2.
        lines: the first and the last row that the scan was to cover; None if that is not known.
        fov: (partitions, rows, columns) of the image within the field of view that was asked for.
        noise_gain: noise in readouts of images over noise in readouts of noise, whose bandwidth may differ.
        facts: what else the file says.
    """

    name: str
    heads: Sequence[Head]
    load: Callable[[Sequence[int]], Sequence[Samples]]
    coils: int
    shape: tuple[int, int, int]
    lines: tuple[int, int] | None
    fov: tuple[int, int, int]
    noise_gain: float = 1.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_sides(self.name, self.shape, self.coils)

    @cached_property
    def parts(self) -> list[tuple[int, ...]]:
        """The slices, echoes, ... of which there is an image."""
        found = sorted({head.part for head in self.heads if head.purpose in (Purpose.IMAGE, Purpose.BOTH)})
        if not found:
            raise InputError(f"{self.name} holds no readouts of an image", "a noise scan is given with --noise-scan")
        return found

    @cached_property
    def axis(self) -> int | None:
        """The axis of three-dimensional k-space that is transformed into slices; None of two-dimensional k-space."""
        if self.shape[0] == 1:
            return None
        lines = np.zeros(self.shape[:2], bool)
        for head in self.heads:
            if head.part == self.parts[0] and head.purpose in (Purpose.IMAGE, Purpose.BOTH):
                lines[head.partition % self.shape[0], head.row % self.shape[1]] = True
        return 0 if separable_axis(lines[..., None]) == 0 else 2

    @property
    def slices(self) -> int:
        """The slices of one part: of those that were transformed, the ones within the field of view."""
        return 1 if self.axis is None else self.fov[self.axis]

    @property
    def count(self) -> int:
        """The number of items."""
        return len(self.parts) * self.slices

    def slice_of(self, place: int) -> KSpace:
        """K-space of one item, counted from 0.

        Raises:
            InputError: readouts lie outside k-space, or the scan is undersampled along all of three axes.
        """
        part, position = self.parts[place // self.slices], place % self.slices
        grid = self._grid(part, Purpose.IMAGE)
        (samples, sampled), notes = self._slice(grid, position), self._notes(part)
        calibration = self._calibration(part, position)
        counts = grid.counts[grid.counts > 0]
        if not counts.size:
            raise InputError(f"{self.name} holds no sample that lies in k-space", "check what its readouts discard")
        if counts.max() > 1:
            notes.append(f"mean of {_range(counts.min(), counts.max())} averages")
        rows, columns = (axis for axis in range(3) if axis != (0 if self.axis is None else self.axis))
        return KSpace(
            samples,
            sampled,
            padding=self._padding(sampled, rows),
            centred=True,
            readout=1 if columns == 2 else None,
            fov=(self.fov[rows], self.fov[columns]),
            noise=self.noise,
            calibration=calibration,
            repeats=float(1 / np.mean(1 / counts)),
            facts={**self._place(part, position), "coils": self.coils, **self.facts},
            notes=tuple(notes),
        )

    @property
    def noise(self) -> Samples | None:
        """Samples of noise, (coils, N), with the variance that readouts of images have; None if there are none."""
        numbers = [number for number, head in enumerate(self.heads) if head.purpose is Purpose.NOISE]
        if not numbers:
            return None
        return np.float32(self.noise_gain) * np.concatenate(self.load(numbers), axis=1)

    def _grid(self, part: tuple[int, ...], purpose: Purpose) -> Grid:
        numbers = self._numbers(part, purpose)
        readouts = []
        for number, samples in zip(numbers, self.load(numbers), strict=True):
            head = self.heads[number]
            line, centre = oriented(samples, head.centre, head.discard, head.reverse)
            readouts.append(Readout(line, self.shape[2] // 2 - centre, head.row, head.partition))
        return gridded(readouts, self.shape, self.name)

    def _numbers(self, part: tuple[int, ...], purpose: Purpose) -> list[int]:
        wanted = (purpose, Purpose.BOTH)
        return [n for n, head in enumerate(self.heads) if head.part == part and head.purpose in wanted]

    def _slice(self, grid: Grid, position: int) -> tuple[Samples, Places]:
        """One slice of gridded k-space, (coils, H, W), and where it was sampled."""
        if self.axis is None:
            return grid.samples[:, 0], grid.counts[0] > 0
        sampled = grid.counts > 0
        if separable_axis(np.moveaxis(sampled, self.axis, 0)) != 0:
            raise InputError(
                f"{self.name} holds three-dimensional k-space that is undersampled along all three axes",
                "idm reconstructs slices: transform it along one axis first",
            )
        outside = (self.shape[self.axis] - self.fov[self.axis]) // 2
        return slice_at(grid.samples, self.axis + 1, position + outside), np.asarray(sampled.take(0, self.axis))

    def _calibration(self, part: tuple[int, ...], position: int) -> Samples | None:
        """K-space that was measured for coil calibration alone, on the same grid."""
        alone = any(self.heads[n].purpose is Purpose.CALIBRATION for n in self._numbers(part, Purpose.CALIBRATION))
        return self._slice(self._grid(part, Purpose.CALIBRATION), position)[0] if alone else None

    def _padding(self, sampled: Places, rows: int) -> Places | None:
        """Lines and columns beyond what the scan was to cover."""
        shape = (sampled.shape[0], sampled.shape[1])
        columns = np.flatnonzero(sampled.any(0))
        found = padding_of(shape, 1, int(columns[0]), int(columns[-1]))
        if rows == 1 and self.lines is not None and (beyond := padding_of(shape, 0, *self.lines)) is not None:
            found = beyond if found is None else found | beyond
        return found

    def _notes(self, part: tuple[int, ...]) -> list[str]:
        heads = [self.heads[number] for number in self._numbers(part, Purpose.IMAGE)]
        reverse = sum(head.reverse for head in heads)
        notes = [f"{reverse} of {len(heads)} lines turned round"] if reverse else []
        if self.axis is not None:
            name = "partitions" if self.axis == 0 else "readout"
            notes.append(f"Fourier transform along the {name}, where k-space is fully sampled, gives slices")
        return notes

    def _place(self, part: tuple[int, ...], position: int) -> dict[str, str]:
        sizes = [len({other[axis] for other in self.parts}) for axis in range(len(PARTS))]
        found = {name: f"{n + 1} of {size}" for name, n, size in zip(PARTS, part, sizes, strict=True) if size > 1}
        return found | ({"position": f"{position + 1} of {self.slices}"} if self.slices > 1 else {})


def _range(least: int, most: int) -> str:
    return str(most) if least == most else f"{least} to {most}"
