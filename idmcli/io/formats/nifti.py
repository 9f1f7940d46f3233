"""NIfTI: slices of volumes as pictures, and results as volumes of one slice."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.io.extras import optional
from idmcli.io.files import require_file
from idmcli.io.formats.base import Picture, PictureFormat, Raw, RefusedError, check_size, choose_page
from idmcli.io.formats.dicom import scale_of
from idmcli.io.geometry import Geometry

MAGIC = {348: (344, b"n+1\0"), 540: (4, b"n+2\0")}  # by the bytes of a header: where it stands, of one file with all
MAX_SLICES = 100_000
MAX_BYTES = 2**32  # of a volume once it is unpacked
MAX_COMMENT = 2**17
COMMENT = 6  # NIfTI's code for a text
PLACES = Geometry((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1))  # of a picture that has none
TO_RAS = np.array([-1, -1, 1])  # NIfTI's axes lead to the right and to the front, DICOM's to the left and to the back


class _Volume(NamedTuple):
    """A header, and the way of the volume's axes to the patient's.

    Attributes:
        header: nibabel's.
        axes: for right, front and head, the volume's axis that leads there.
        signs: 1 where it leads there, -1 where it leads away.
    """

    header: Any
    axes: list[int]
    signs: list[int]

    @property
    def shape(self) -> tuple[int, ...]:
        """The sizes along at least three axes."""
        found = tuple(map(int, self.header.get_data_shape()))
        return found + (1,) * (3 - len(found))

    @property
    def slices(self) -> int:
        """In one volume, from the feet to the head."""
        return self.shape[self.axes[2]]


class Nifti(PictureFormat):
    """NIfTI 1 and 2, one file, perhaps packed by gzip. A slice across the body is an item, seen as DICOM shows it: the
    patient's right side on the left, the front on top. Further volumes follow the first.
    """

    name = "NIfTI"
    suffixes = (".nii.gz", ".nii")
    bits = (32,)

    def recognises(self, path: Path) -> bool:
        """Whether the header, unpacked if need be, is NIfTI's."""
        try:
            require_file(path)
            with path.open("rb") as file:
                return _header_size(_unpacked(file).read(348)) > 0
        except (InputError, OSError, EOFError, zlib.error):
            return False

    def count(self, file: BinaryIO) -> int:
        """The number of slices of all volumes."""
        return _count(_volume(_unpacked(file)))

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`: slope and intercept are applied."""
        stream = _unpacked(file)
        volume = _volume(stream)
        index = choose_page(number, _count(volume))
        width, height = (volume.shape[axis] for axis in volume.axes[:2])
        check_size(width, height, max_pixels)
        values = _slice(stream, volume, index)
        notes: list[str] = []
        if (lost := np.isnan(values)).any():
            values[lost] = 0
            notes.append(f"{lost.sum()} values that are no numbers set to 0")
        return Raw(values, 1, notes, scale_of(values), _geometry(volume, index % volume.slices))

    def comment(self, file: BinaryIO) -> str:
        """The first extension, if it is a text."""
        stream = _unpacked(file)
        header = stream.read(544)
        size = _header_size(header)
        if not header[size : size + 1].strip(b"\0"):
            return ""
        stream.seek(size + 4)
        order = "<" if struct.unpack_from("<i", header)[0] == size else ">"
        length, code = struct.unpack(f"{order}ii", stream.read(8))
        if code != COMMENT or not 8 < length <= MAX_COMMENT:
            return ""
        return stream.read(length - 8).rstrip(b"\0").decode("latin-1")

    def encode(self, picture: Picture) -> bytes:
        """A volume of one slice, of floating-point values."""
        nibabel = optional("nibabel", "NIfTI files")
        if picture.samples.ndim != 2:
            raise InputError("a picture in colour is not written as NIfTI", "use .png or .tif")
        place = picture.geometry or PLACES
        affine = np.eye(4)
        for column, vector in enumerate((place.right, place.down, place.through, place.origin)):
            affine[:3, column] = TO_RAS * vector
        image = nibabel.Nifti1Image(picture.samples.astype(np.float32).T[..., None], affine)
        image.header.set_xyzt_units("mm")
        if picture.comment:
            image.header.extensions.append(nibabel.nifti1.Nifti1Extension(COMMENT, picture.comment.encode("ascii")))
        return cast(bytes, image.to_bytes())

    def write(self, path: Path, picture: Picture, *, replace: bool = True) -> None:
        """See :meth:`PictureFormat.write`; packed if the name ends in ".gz"."""
        self.check_bits(path, picture.samples.dtype.itemsize * 8)
        data = self.encode(picture)
        packed = gzip.compress(data, mtime=0) if path.name.lower().endswith(".gz") else data
        write_bytes(path, packed, replace=replace)


def _unpacked(file: BinaryIO) -> BinaryIO:
    """The stream from its start."""
    file.seek(0)
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return cast(BinaryIO, gzip.GzipFile(fileobj=file)) if packed else file


def _header_size(start: bytes) -> int:
    """The bytes of a header, 348 or 540; 0 if this is no header of a file with both header and data."""
    for order in "<>":
        size = struct.unpack_from(f"{order}i", start)[0] if len(start) >= 348 else 0
        if size in MAGIC:
            place, magic = MAGIC[size]
            return int(size) if start[place : place + 4] == magic else 0
    return 0


def _volume(stream: BinaryIO) -> _Volume:
    """The header, with sizes that the file can hold."""
    nibabel = optional("nibabel", "NIfTI files")
    start = stream.read(540)
    size = _header_size(start)
    header = (nibabel.Nifti1Header if size == 348 else nibabel.Nifti2Header)(start[:size], check=False)
    shape, item = header.get_data_shape(), header.get_data_dtype()
    if not shape or min(shape) < 1 or math.prod(shape) * item.itemsize > MAX_BYTES:
        raise RefusedError(f"claims a volume of {' x '.join(map(str, shape))} voxels", "check the file, or cut it")
    if item.kind not in "iuf":
        kinds = {"c": "complex numbers", "V": "colours", "b": "bits"}
        raise RefusedError(f"holds {kinds.get(item.kind, 'values of type ' + str(item))}", "save real numbers")
    if len(shape) < 2:
        raise RefusedError("holds a line, not slices", "check which file it is")
    found = nibabel.orientations.io_orientation(header.get_best_affine())
    if np.isnan(found).any():
        raise RefusedError("has axes that do not span space", "correct its affine matrix")
    order = found[:, 0].astype(int).tolist()
    axes = [order.index(direction) for direction in range(3)]
    return _Volume(header, axes, [int(found[axis, 1]) for axis in axes])


def _count(volume: _Volume) -> int:
    count = volume.slices * math.prod(volume.shape[3:])
    if count > MAX_SLICES:
        raise RefusedError(f"claims {count} slices", f"a file of at most {MAX_SLICES} slices can be read")
    return count


def _slice(stream: BinaryIO, volume: _Volume, index: int) -> NDArray[np.float32]:
    """A slice as (H, W), rows from the front to the back, columns from the patient's right to the left."""
    nibabel = optional("nibabel", "NIfTI files")
    further, place = divmod(index, volume.slices)
    at: list[Any] = [slice(None)] * 3
    at[volume.axes[2]] = place if volume.signs[2] > 0 else volume.slices - 1 - place
    at += np.unravel_index(further, volume.shape[3:], order="F") if volume.shape[3:] else ()
    given = len(volume.header.get_data_shape())
    proxy = nibabel.arrayproxy.ArrayProxy(stream, volume.header, mmap=False)
    values = np.asarray(proxy[tuple(at[:given])], np.float64).reshape(
        [volume.shape[a] for a in sorted(volume.axes[:2])]
    )
    if volume.axes[0] < volume.axes[1]:
        values = values.T  # to (front, right)
    for direction, axis in ((0, 1), (1, 0)):
        if volume.signs[direction] > 0:
            values = np.flip(values, axis)
    return np.ascontiguousarray(values, np.float32)


def _geometry(volume: _Volume, place: int) -> Geometry | None:
    """Where a slice lies; None if the header's numbers make no sense."""
    affine = np.asarray(volume.header.get_best_affine(), float)
    first = np.zeros(3)  # the voxel of the first row and column
    steps = []
    for direction, (axis, sign) in enumerate(zip(volume.axes, volume.signs, strict=True)):
        last = volume.shape[axis] - 1
        leads = -sign if direction < 2 else sign  # columns lead to the left, rows to the back, slices to the head
        first[axis] = (0 if leads > 0 else last) if direction < 2 else (place if leads > 0 else last - place)
        steps.append(leads * affine[:3, axis] * TO_RAS)
    origin = (affine[:3, :3] @ first + affine[:3, 3]) * TO_RAS
    try:
        return Geometry.of(origin, steps[1], steps[0], steps[2])
    except ValueError:
        return None
