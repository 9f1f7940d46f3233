"""HDF5 files in the layout of fastMRI (Zbontar et al., 2018): one volume of slices, of one coil or several."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from idmcli.errors import InputError
from idmcli.io.formats.base import MAX_PIXELS
from idmcli.io.formats.kspace import KSpace, KSpaceFormat, Places, Samples, check_sides, choose_item, numbered
from idmcli.io.formats.mrd_header import Header, read_header, refuse_trajectory
from idmcli.io.formats.readouts import padding_of
from idmcli.io.hdf5 import Hdf5File, hdf5_file, looks_like
from idmcli.io.items import Item

KSPACE, MASK, HEADER = "kspace", "mask", "ismrmrd_header"


class FastMRI(KSpaceFormat):
    """K-space (slices, [coils,] readout, phase), an optional mask of the lines, and an optional header."""

    name = "fastMRI"
    suffixes = (".h5", ".hdf5")

    def recognises(self, path: Path) -> bool:
        """Whether an HDF5 file holds complex k-space of three or four dimensions."""
        return looks_like(path, lambda file: file.dtype(KSPACE).kind == "c" and len(file.shape(KSPACE)) in (3, 4))

    def items(self, path: Path) -> list[Item]:
        """The slices."""
        with hdf5_file(path) as file:
            return numbered(path, file.shape(KSPACE)[0])

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> KSpace:
        """One slice.

        Raises:
            InputError: the file is missing or damaged, or holds an echo-planar or non-Cartesian scan; or the item names
                none of several slices.
        """
        with hdf5_file(item.path) as file:
            shape = file.shape(KSPACE)
            place = choose_item(item, shape[0], "slices")
            sides = (shape[-2], shape[-1])
            check_sides(file.name, sides, shape[1] if len(shape) == 4 else 1)
            header = read_header(file.text(HEADER), file.name) if HEADER in file else None
            if header is not None:
                refuse_trajectory(header.trajectory, file.name)
            samples = np.ascontiguousarray(file.read(KSPACE, (place,)), np.complex64).reshape(-1, *sides)
            sampled = (samples != 0).any(0)
            if MASK in file:
                sampled &= _mask(file, sides)
            named = {key: file.attribute("", key) for key in ("acquisition", "patient_id")}
        facts = {"slice": f"{place + 1} of {shape[0]}", "coils": len(samples), **_texts(named)}
        return KSpace(
            np.where(sampled, samples, 0),
            sampled,
            centred=True,
            readout=0,
            fov=None if header is None else _fov(header, sides),
            padding=None if header is None else _padding(header, sides),
            facts=facts,
        )

    def noise(self, path: Path) -> Samples:
        raise InputError(f"{str(path)!r} is k-space of fastMRI, which has no noise scans", "give another --noise-scan")


def _mask(file: Hdf5File, sides: tuple[int, int]) -> Places:
    """The mask of the lines, or of single points, as (H, W)."""
    mask = file.read(MASK, max_bytes=2**28) != 0
    if mask.shape not in ((sides[1],), sides):
        raise InputError(f"{file.name}: the mask has shape {mask.shape}", f"it must have {sides[1]} lines")
    return np.broadcast_to(mask, sides)


def _fov(header: Header, sides: tuple[int, int]) -> tuple[int, int] | None:
    """The pixels within the field of view that was asked for, if the header is of this k-space."""
    return (header.fov(0), header.fov(1)) if header.encoded.matrix[:2] == sides else None


def _padding(header: Header, sides: tuple[int, int]) -> Places | None:
    if header.lines is None or header.encoded.matrix[1] != sides[1]:
        return None
    offset = header.offset(1)
    return padding_of(sides, 1, offset + header.lines.minimum, offset + header.lines.maximum)


def _texts(named: dict[str, Any]) -> dict[str, str]:
    return {key: value for key, value in named.items() if isinstance(value, str)}
