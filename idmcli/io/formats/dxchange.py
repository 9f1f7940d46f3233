"""HDF5 files in the layout of DXchange (De Carlo et al., 2014): the scans of synchrotrons, parallel beams."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats.base import MAX_PIXELS, Format
from idmcli.io.formats.sinogram import AngleUnit, Sinogram, check_views, real_views
from idmcli.io.hdf5 import Hdf5File, hdf5_file, looks_like
from idmcli.io.items import Item

DATA, WHITE, DARK, THETA = (f"exchange/{name}" for name in ("data", "data_white", "data_dark", "theta"))
UNITS: dict[str, AngleUnit] = {"deg": "degrees", "rad": "radians"}  # by the first three letters


class DXchange(Format[Sinogram]):
    """Intensities (views, rows, detectors), with fields without object or beam; each row of the detector is an item."""

    name = "DXchange"
    suffixes = (".h5", ".hdf5", ".hdf")
    gives = Sinogram

    def recognises(self, path: Path) -> bool:
        """Whether an HDF5 file holds ``/exchange/data`` of three dimensions."""
        return looks_like(path, lambda file: len(file.shape(DATA)) == 3)

    def items(self, path: Path) -> list[Item]:
        """The rows of the detector."""
        with hdf5_file(path) as file:
            count = file.shape(DATA)[1]
        return [Item(path)] if count == 1 else [Item(path, number) for number in range(1, count + 1)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Sinogram:
        """One row of the detector.

        Raises:
            InputError: the file is missing or damaged, its parts do not fit together, or the item names none of several
                rows, or one that is not there.
        """
        with hdf5_file(item.path) as file:
            shape = file.shape(DATA)
            row = _row(item, shape[1])
            check_views(file.name, (shape[0], shape[2]))
            views = real_views(file.name, file.read(DATA, (slice(None), row)))
            angles, unit = _theta(file, shape[0])
            white, dark = (_field(file, path, row, shape) for path in (WHITE, DARK))
        facts = {"row": f"{row} of 0 to {shape[1] - 1}"}
        return Sinogram(views, False, angles, unit, white, dark, facts=facts)


def _row(item: Item, count: int) -> int:
    """The index of a row, from 0."""
    if item.number is None and count != 1:
        raise InputError(
            f"{str(item)!r} holds {count} rows of the detector",
            f"give one by --row, from 0 to {count - 1}, or as FILE#N, with N from 1 to {count}",
        )
    if (item.number or 1) > count:
        raise InputError(
            f"{str(item)!r} is not there: the detector has {count} rows",
            f"--row is from 0 to {count - 1}, and N of FILE#N from 1 to {count}",
        )
    return (item.number or 1) - 1


def _theta(file: Hdf5File, views: int) -> tuple[NDArray[np.float64] | None, AngleUnit | None]:
    """The angles, and their unit where the file says it."""
    if THETA not in file:
        return None, None
    if file.shape(THETA) != (views,) or file.dtype(THETA).kind not in "iuf":
        raise InputError(
            f"{file.name} holds {views} views, and angles of the shape {file.shape(THETA)}",
            "the views without an object may be among the others: write them apart",
        )
    unit: Any = file.attribute(THETA, "units")
    unit = unit.decode("ascii", "replace") if isinstance(unit, bytes) else unit
    return file.read(THETA).astype(np.float64), UNITS.get(unit.strip().lower()[:3]) if isinstance(unit, str) else None


def _field(file: Hdf5File, path: str, row: int, shape: tuple[int, ...]) -> NDArray[Any] | None:
    """The frames without object or beam of one row: (frames, detectors); None if there are none."""
    if path not in file or 0 in file.shape(path):
        return None
    if len(file.shape(path)) != 3 or file.shape(path)[1:] != shape[1:]:
        raise InputError(f"{file.name}: {path!r} has the shape {file.shape(path)}, and {DATA!r} {shape}", "check them")
    return real_views(f"{file.name}: {path!r}", file.read(path, (slice(None), row)))
