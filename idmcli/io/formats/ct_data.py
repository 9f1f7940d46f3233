"""Variables of MATLAB named ``CtData...``: the layout of the Finnish open data sets and of the Helsinki tomography
challenge (Meaney, Siltanen et al., 2022), in files of version 5 and of version 7.3, which are HDF5.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.extras import optional
from idmcli.io.formats.base import MAX_PIXELS, Format, head_of
from idmcli.io.formats.numbers import Mat, matlab_array, reading
from idmcli.io.formats.sinogram import Fan, Sinogram, check_views, real_views
from idmcli.io.hdf5 import hdf5_file
from idmcli.io.items import Item
from idmcli.io.matlab import load_variable

NAME = "CtData"
NUMBERS = ("distanceSourceOrigin", "distanceSourceDetector", "pixelSize", "pixelSizePost", "binningPost")
TEXTS = ("geometryType", "distanceUnit", "projectName")
FANS = ("cone", "fan")
MAX_UNPACKED = 2**29  # bytes of a file of version 5
COMPRESSED = 15  # the type of a packed element (MAT-File Format, MathWorks)
PIECE = 2**20

Content = tuple[NDArray[Any], Mapping[str, Any]]  # the sinogram, and its parameters


class CtData(Format[Sinogram]):
    """Line integrals of a fan beam (views, detectors), with its geometry."""

    name = "MATLAB CtData"
    suffixes = (".mat",)
    gives = Sinogram

    def recognises(self, path: Path) -> bool:
        """Whether a file of MATLAB's holds a structure named ``CtData...``."""
        try:
            return head_of(path).startswith(b"MATLAB ") and _variable(path) is not None
        except Exception:  # decoders fed with damaged bytes raise nearly anything
            return False

    def items(self, path: Path) -> list[Item]:
        return [Item(path)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Sinogram:
        """The sinogram.

        Raises:
            InputError: the file is missing or damaged; it holds a scan of another geometry, or of several slices; or
                angles that are not as many as the views.
        """
        name = repr(str(item.path))
        if (item.number or 1) > 1:
            raise InputError(f"{str(item)!r} is not there: the file holds one sinogram", "name the file alone")
        with reading(self, item.path):
            values, parameters = (_read_7 if Mat.is_hdf5(item.path) else _read_5)(item.path)
        views = real_views(name, values)
        angles = parameters.get("angles")
        if angles is not None and len(angles) != len(views):
            raise InputError(
                f"{name} holds {len(views)} views, and {len(angles)} angles", "correct it, or give --angles"
            )
        facts = {"project": text} if (text := parameters.get("projectName")) else {}
        fan = _fan(name, parameters)
        return Sinogram(views, True, angles, "degrees", fan=fan, aligned=fan is not None, facts=facts)


def _variable(path: Path) -> str | None:
    """The name of the structure; None if there is none."""
    if Mat.is_hdf5(path):
        with hdf5_file(path) as file:
            names = file.names()
            return next((n[: -len("/sinogram")] for n in names if n.startswith(NAME) and n.endswith("/sinogram")), None)
    listed = optional("scipy.io", "MATLAB files").whosmat(path)
    return next((name for name, _, kind in listed if name.startswith(NAME) and kind == "struct"), None)


def _read_5(path: Path) -> Content:
    _check_unpacked(path)
    name = _variable(path) or NAME
    found = load_variable(path, name)
    if not isinstance(found, dict) or not isinstance(found.get("sinogram"), np.ndarray):
        raise InputError(f"{str(path)!r}: {name} holds no sinogram", "check which file it is")
    given = found.get("parameters")
    given = given if isinstance(given, dict) else {}
    parameters: dict[str, Any] = {key: value for key in NUMBERS if (value := _number(given.get(key))) is not None}
    parameters |= {key: given[key] for key in TEXTS if isinstance(given.get(key), str)}
    if isinstance(given.get("angles"), np.ndarray | float | int):
        parameters["angles"] = np.ravel(given["angles"]).astype(np.float64)
    return found["sinogram"], parameters


def _read_7(path: Path) -> Content:
    name = _variable(path)
    with hdf5_file(path) as file:
        check_views(file.name, file.shape(f"{name}/sinogram"))
        sinogram = matlab_array(file.read(f"{name}/sinogram"))
        at = {key: f"{name}/parameters/{key}" for key in (*NUMBERS, *TEXTS, "angles")}
        given = {
            key: file.read(place, max_bytes=2**24)
            for key, place in at.items()
            if place in file and file.dtype(place).kind in "iuf"
        }
    parameters: dict[str, Any] = {key: value for key in NUMBERS if (value := _number(given.get(key))) is not None}
    parameters |= {key: "".join(map(chr, given[key].ravel())) for key in TEXTS if key in given}
    if "angles" in given:
        parameters["angles"] = given["angles"].ravel().astype(np.float64)
    return sinogram, parameters


def _number(value: Any) -> float | None:
    """A number that may stand in an array of its own."""
    array = np.asarray(value)
    return float(array.item()) if array.dtype.kind in "iuf" and array.size == 1 else None


def _fan(name: str, parameters: Mapping[str, Any]) -> Fan | None:
    """The geometry; None if the distances are missing."""
    kind = str(parameters.get("geometryType", FANS[0])).lower()
    if not any(word in kind for word in FANS):
        raise InputError(f"{name} holds a scan of the geometry {kind!r}", "only fan beams are read from such files")
    pitch = parameters.get("pixelSizePost")
    if pitch is None and "pixelSize" in parameters:
        pitch = parameters["pixelSize"] * parameters.get("binningPost", 1)
    source_axis, source_detector = (parameters.get(key) for key in NUMBERS[:2])
    if pitch is None or source_axis is None or source_detector is None:
        return None
    fan = Fan(source_axis, source_detector, pitch, unit=parameters.get("distanceUnit", ""))
    if not all(math.isfinite(length) and length > 0 for length in fan[:3]):
        raise InputError(f"{name} holds distances that are not positive", "correct them, or give --fan")
    return fan


def _check_unpacked(path: Path) -> None:
    """Refuse a file of version 5 whose packed elements hold far too many bytes, without keeping them."""
    total, rest = 0, path.stat().st_size - 128
    with path.open("rb") as file:
        order = ">" if file.seek(126) and file.read(2) == b"MI" else "<"
        while rest >= 8:
            kind, size = struct.unpack(f"{order}II", file.read(8))
            size = min(size, rest - 8)
            total += _unpacked(file, size) if kind == COMPRESSED else _skipped(file, size)
            rest -= 8 + size
            if total > MAX_UNPACKED:
                raise ValueError("it claims more bytes than can be read")


def _unpacked(file: BinaryIO, size: int) -> int:
    """The number of bytes that so many packed ones hold, counted up to the limit."""
    unpacking, count = zlib.decompressobj(), 0
    while size > 0 and count <= MAX_UNPACKED:
        piece = file.read(min(size, PIECE))
        size -= len(piece)
        while piece and count <= MAX_UNPACKED:
            count += len(unpacking.decompress(piece, PIECE))
            piece = unpacking.unconsumed_tail
    return count


def _skipped(file: BinaryIO, size: int) -> int:
    file.seek(size, 1)
    return size
