"""DICOM: slices as pictures of rescaled values, and results as secondary captures."""

from __future__ import annotations

import hashlib
import logging
import math
import zlib
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.extras import optional
from idmcli.io.files import Within
from idmcli.io.formats.base import (
    Picture,
    PictureFormat,
    Raw,
    RefusedError,
    check_size,
    choose_page,
    head_of,
    wrong_colours,
)
from idmcli.io.geometry import Geometry
from idmcli.io.scale import Scale
from idmcli.text import escape

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

# As in plain.py.
logging.getLogger("pydicom").addHandler(logging.NullHandler())

HOUNSFIELD = Scale(-1024, 3072, "HU")  # from air to metal
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")  # that decoders turn into RGB
GREYS = ("MONOCHROME1", "MONOCHROME2")
LEVELS = 65535
MAX_FRAMES = 100_000
MAX_INFLATED = 2**29  # bytes of a deflated file
PREAMBLE = 132  # bytes, the word that follows it included
OWN = 0x0099, "idm", 0x01  # the private element with idm's comment: group, creator, element


class Dicom(PictureFormat):
    """DICOM; a frame is an item. Written are secondary captures of 65536 levels, with no word of the patient."""

    name = "DICOM"
    suffixes = (".dcm", ".dicom", ".ima")
    bits = (32,)

    def recognises(self, path: Path) -> bool:
        """Whether "DICM" follows a preamble of 128 bytes."""
        try:
            return head_of(path, PREAMBLE)[128:] == b"DICM"
        except InputError:
            return False

    def count(self, file: BinaryIO) -> int:
        """The number of frames."""
        return _frames(_header(file))

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`: padding is masked, and then samples become values by slope and intercept."""
        data = _header(file)
        check_size(int(data.Columns), int(data.Rows), max_pixels)
        frame = choose_page(number, _frames(data))
        colours, notes = str(data.get("PhotometricInterpretation")), list[str]()
        if colours not in (*COLOURS, *GREYS):
            raise wrong_colours(escape(colours))
        samples, geometry = _samples(file, data, frame), _geometry(data, frame, notes)
        if colours in COLOURS or (samples.dtype == np.uint8 and _slope(data, frame) is None):
            return Raw(samples, 1, notes, geometry=geometry)
        if colours == "MONOCHROME1":
            notes.append("low values are shown white elsewhere, and black here (MONOCHROME1)")
        values = _rescaled(samples, data, frame)
        unit, padding = _unit(data, frame), _padding(samples, data)
        inside = values[~padding]
        scale = HOUNSFIELD if unit == HOUNSFIELD.unit else scale_of(inside, unit)
        if padding.any():
            padding |= values < scale.low  # near padding that lossy compression has blurred
            values[padding] = scale.low
            notes.append(f"{padding.sum()} pixels of padding set to {scale.low:g} {unit}".rstrip())
        return Raw(values, 1, notes, scale, geometry)

    def comment(self, file: BinaryIO) -> str:
        """The text of idm's private element."""
        group, creator, element = OWN
        try:
            return str(_header(file).private_block(group, creator)[element].value)
        except KeyError:
            return ""

    def encode(self, picture: Picture) -> bytes:
        """A secondary capture; identifiers follow from the content, so that equal pictures give equal bytes."""
        pydicom = optional("pydicom", "DICOM files")
        if picture.samples.ndim != 2:
            raise InputError("a picture in colour is not written as DICOM", "use .png or .tif")
        scale = picture.scale or Scale()
        low, high = min(scale.low, float(picture.samples.min())), max(scale.high, float(picture.samples.max()))
        intercept, slope = _decimal(low), _decimal((high - low) / LEVELS)
        stored = np.rint((picture.samples.astype(np.float64) - float(intercept)) / float(slope)).clip(0, LEVELS)
        data = pydicom.Dataset()
        data.SOPClassUID = pydicom.uid.SecondaryCaptureImageStorage
        seed = hashlib.sha256(stored.tobytes() + picture.comment.encode()).hexdigest()
        for part in ("SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"):
            setattr(data, part, pydicom.uid.generate_uid(entropy_srcs=[part, seed]))
        for empty in (
            "PatientName",
            "PatientID",
            "PatientBirthDate",
            "PatientSex",
            "StudyID",
            "StudyDate",
            "StudyTime",
        ):
            setattr(data, empty, "")
        data.AccessionNumber = data.ReferringPhysicianName = ""
        data.Modality, data.ConversionType, data.ImageType = "OT", "WSD", ["DERIVED", "SECONDARY"]
        data.DerivationDescription = "Reconstructed by idm"
        data.SeriesNumber = data.InstanceNumber = 1
        data.Rows, data.Columns = stored.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 16, 16, 15, 0
        data.RescaleIntercept, data.RescaleSlope, data.RescaleType = intercept, slope, scale.unit[:16] or "US"
        data.WindowCenter, data.WindowWidth = _decimal((low + high) / 2), _decimal(high - low)
        if picture.geometry is not None:
            _place(data, picture.geometry)
        if picture.comment:
            group, creator, element = OWN
            data.private_block(group, creator, create=True).add_new(element, "UT", picture.comment)
        data.PixelData = stored.astype("<u2").tobytes()
        data.file_meta = pydicom.dataset.FileMetaDataset()
        data.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
        pydicom.dcmwrite(buffer := BytesIO(), data, enforce_file_format=True)
        return buffer.getvalue()


def scale_of(values: NDArray[Any], unit: str = "") -> Scale:
    """The scale of a slice whose file does not say what is white: from 0, or the lowest value if that is below, to the
    largest value.
    """
    finite = values[np.isfinite(values)]
    low = min(0.0, float(finite.min())) if finite.size else 0.0
    high = float(finite.max()) if finite.size else 0.0
    return Scale(low, high if high > low else low + 1, unit)


def _header(file: BinaryIO) -> Dataset:
    """All but the pixels. A deflated file is unpacked, if it is not far too large."""
    pydicom = optional("pydicom", "DICOM files")
    stream = Within(file)
    stream.seek(PREAMBLE)
    meta = pydicom.filereader.read_dataset(stream, False, True, stop_when=lambda tag, kind, length: tag.group != 2)
    if meta.get("TransferSyntaxUID") == pydicom.uid.DeflatedExplicitVRLittleEndian:
        _check_inflated(file)
    data: Dataset = pydicom.dcmread(Within(file), stop_before_pixels=True)
    return data


def _check_inflated(file: BinaryIO) -> None:
    """Refuse a deflated file that unpacks to far more than fits, from where ``file`` stands."""
    unpacker, size, packed = zlib.decompressobj(-zlib.MAX_WBITS), 0, file.read()
    while packed and not unpacker.eof:
        size += len(unpacker.decompress(packed, 2**20))
        packed = unpacker.unconsumed_tail
        if size > MAX_INFLATED:
            raise RefusedError(f"unpacks to more than {MAX_INFLATED // 2**20} MiB", "save it without compression")


def _frames(data: Dataset) -> int:
    count = int(data.get("NumberOfFrames") or 1)
    if not 1 <= count <= MAX_FRAMES:
        raise RefusedError(f"claims {count} frames", f"a file of at most {MAX_FRAMES} frames can be read")
    return count


def _samples(file: BinaryIO, data: Dataset, frame: int) -> NDArray[Any]:
    """The samples of one frame, sign and unused bits put right."""
    pixels = optional("pydicom.pixels", "DICOM files")
    syntax = data.file_meta.TransferSyntaxUID
    if syntax.is_compressed and syntax.is_encapsulated and not pixels.get_decoder(syntax).is_available:
        raise RefusedError(
            f"is compressed ({syntax.name}), and no library for that is installed",
            "pip install 'pylibjpeg[all]', or save it without compression",
        )
    source: Any = Within(file)
    if syntax.is_deflated:
        source = optional("pydicom", "DICOM files").dcmread(source)
    samples: NDArray[Any] = pixels.pixel_array(source, index=frame)
    samples = samples.astype(samples.dtype.newbyteorder("="), copy=False)
    if samples.dtype.kind in "iu" and not syntax.is_encapsulated:
        size, stored, high = samples.dtype.itemsize * 8, int(data.BitsStored), int(data.HighBit)
        if not 0 < stored <= high + 1 <= size:
            raise ValueError(f"{stored} bits up to bit {high} do not fit into {size}")
        samples = (samples << (size - 1 - high)) >> (size - stored)
    return samples


def _found(data: Dataset, frame: int, sequence: str, keyword: str) -> Any:
    """The value of an attribute: of a frame's functional group, of the group that all frames share, or of the file."""
    per_frame, shared = data.get("PerFrameFunctionalGroupsSequence"), data.get("SharedFunctionalGroupsSequence")
    groups = [*(per_frame[frame : frame + 1] if per_frame else []), *(shared or [])]
    for group in groups:
        if group.get(sequence) and (value := group[sequence][0].get(keyword)) is not None:
            return value
    return data.get(keyword)


def _slope(data: Dataset, frame: int) -> tuple[float, float] | None:
    """Slope and intercept; None if there is neither."""
    slope = _found(data, frame, "PixelValueTransformationSequence", "RescaleSlope")
    intercept = _found(data, frame, "PixelValueTransformationSequence", "RescaleIntercept")
    if slope is None and intercept is None:
        return None
    pair = float(1 if slope is None else slope), float(0 if intercept is None else intercept)
    if pair[0] == 0 or not all(map(math.isfinite, pair)):
        raise ValueError(f"a slope of {pair[0]:g} and an intercept of {pair[1]:g}")
    return pair


def _rescaled(samples: NDArray[Any], data: Dataset, frame: int) -> NDArray[np.float32]:
    """Values in their unit."""
    pair = _slope(data, frame)
    if pair is not None:
        return (samples * pair[0] + pair[1]).astype(np.float32)
    if "ModalityLUTSequence" in data:
        return np.asarray(optional("pydicom.pixels", "DICOM files").apply_modality_lut(samples, data), np.float32)
    return samples.astype(np.float32)


def _unit(data: Dataset, frame: int) -> str:
    """The unit of the values; "US" of DICOM stands for none. Values of a CT scanner that does not say are in HU."""
    unit = str(_found(data, frame, "PixelValueTransformationSequence", "RescaleType") or "")
    if not unit and data.get("Modality") == "CT" and _slope(data, frame) is not None:
        return HOUNSFIELD.unit
    return unit if unit != "US" and len(unit) <= 32 and unit.isprintable() else ""


def _padding(samples: NDArray[Any], data: Dataset) -> NDArray[np.bool_]:
    """The pixels that lie outside the image: with the padding value, or in its range."""
    value = data.get("PixelPaddingValue")
    if value is None or samples.dtype.kind not in "iu":
        return np.zeros(samples.shape, bool)
    ends = [value, value if (limit := data.get("PixelPaddingRangeLimit")) is None else limit]
    low, high = sorted(int(end.astype(samples.dtype)) for end in np.array(ends, np.int64))  # signed, or not, as samples
    return (samples >= low) & (samples <= high)


def _geometry(data: Dataset, frame: int, notes: list[str]) -> Geometry | None:
    """Position, orientation and spacing; without a position, spacing alone; None without that."""
    spacing = _found(data, frame, "PixelMeasuresSequence", "PixelSpacing")
    if not spacing:
        return None
    turn = _found(data, frame, "PlaneOrientationSequence", "ImageOrientationPatient") or (1, 0, 0, 0, 1, 0)
    place = _found(data, frame, "PlanePositionSequence", "ImagePositionPatient") or (0, 0, 0)
    thick = _found(data, frame, "PixelMeasuresSequence", "SliceThickness") or 1
    try:
        between_rows, between_columns = map(float, spacing)
        right, down = (np.array(turn, float).reshape(2, 3).T * (between_columns, between_rows)).T
        normal = np.cross(right, down)
        through = normal * (float(thick) / np.linalg.norm(normal))
        return Geometry.of(place, down, right, through, str(data.get("FrameOfReferenceUID") or ""))
    except (TypeError, ValueError):
        notes.append("its geometry is damaged and left out")
        return None


def _place(data: Dataset, geometry: Geometry) -> None:
    """Write a geometry."""
    rows, columns, thickness = geometry.spacing
    turn = [*(x / columns for x in geometry.right), *(x / rows for x in geometry.down)]
    data.ImagePositionPatient = [_decimal(x) for x in geometry.origin]
    data.ImageOrientationPatient = [_decimal(x) for x in turn]
    data.PixelSpacing = [_decimal(rows), _decimal(columns)]
    data.SliceThickness = _decimal(thickness)
    if geometry.frame:
        data.FrameOfReferenceUID = geometry.frame


def _decimal(value: float) -> str:
    """A number in at most 16 characters."""
    text: str = optional("pydicom.valuerep", "DICOM files").format_number_as_ds(float(value))
    return text
