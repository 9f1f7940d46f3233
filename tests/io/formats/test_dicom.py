"""DICOM as pictures, in files that pydicom writes: values, padding, frames, geometry, results, and hostile files."""

from __future__ import annotations

import sys
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    EnhancedCTImageStorage,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
    generate_uid,
)

from idmcli.cli import main
from idmcli.errors import InputError
from idmcli.io.formats import DICOM, Picture, format_of
from idmcli.io.geometry import Geometry
from idmcli.io.images import read_image, read_provenance, write_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale

RNG = np.random.default_rng(7)
HU = RNG.integers(-1000, 2000, (12, 10))
PLACE = Geometry((-10, 20, 35.5), (0, 0.75, 0), (0.5, 0, 0), (0, 0, 3), "1.2.3.4")


def dataset(stored: NDArray[Any], syntax: Any = ExplicitVRLittleEndian, **more: Any) -> Dataset:
    """A CT slice of signed samples that are 1024 above HU."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID, data.SOPInstanceUID = pydicom.uid.CTImageStorage, generate_uid()
    data.PatientName, data.Modality = "Somebody^Known", "CT"
    data.Rows, data.Columns = stored.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    data.RescaleSlope, data.RescaleIntercept = "1", "-1024"
    data.PixelSpacing, data.SliceThickness = ["0.75", "0.5"], "3"
    data.ImagePositionPatient, data.ImageOrientationPatient = ["-10", "20", "35.5"], ["1", "0", "0", "0", "1", "0"]
    data.FrameOfReferenceUID = "1.2.3.4"
    order = ">" if syntax == ExplicitVRBigEndian else "<"
    data.PixelData = stored.astype(stored.dtype.newbyteorder(order)).tobytes()
    for key, value in more.items():
        setattr(data, key, value)
    return data


def saved(path: Path, data: Dataset) -> Path:
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def values(path: Path | str) -> NDArray[Any]:
    image = read_image(path)
    return np.asarray(image.scale.invert(image.pixels.astype(np.float64)))


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
def test_hounsfield_units_and_their_place(tmp_path: Path, syntax: Any, kind: type) -> None:
    path = saved(tmp_path / "slice", dataset((HU + 1024).astype(kind), syntax))
    assert format_of(path) is DICOM
    image = read_image(path)
    assert image.scale == Scale(-1024, 3072, "HU") and image.bits == 16 and image.notes == ()
    np.testing.assert_allclose(values(path), HU, atol=1e-3)
    assert image.geometry == PLACE


def test_a_preamble_that_looks_like_tiff(tmp_path: Path) -> None:
    data = dataset((HU + 1024).astype(np.int16))
    data.preamble = b"II*\0" + bytes(124)
    np.testing.assert_allclose(values(saved(tmp_path / "a.dcm", data)), HU, atol=1e-3)


def test_padding_is_masked_before_rescaling(tmp_path: Path) -> None:
    stored = (HU + 1024).astype(np.int16)
    stored[:2], stored[2, :3] = -2000, -1990
    image = read_image(saved(tmp_path / "a.dcm", dataset(stored, PixelPaddingValue=-2000)))
    assert (image.pixels[:2] == 0).all() and image.notes[0] == "23 pixels of padding set to -1024 HU"
    ranged = dataset(stored, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1990)
    assert (read_image(saved(tmp_path / "b.dcm", ranged)).pixels[2, :3] == 0).all()
    other = dataset(stored, PixelPaddingValue=-2000, Modality="MR", RescaleIntercept="5")
    found = values(saved(tmp_path / "c.dcm", other))
    assert found[:2].max() == found.min() > -1995  # padding gets the lowest value there is


def test_other_values_reach_from_nothing_to_their_largest(tmp_path: Path) -> None:
    stored = RNG.integers(100, 900, (6, 5)).astype(np.uint16)
    data = dataset(stored, Modality="MR")
    del data.RescaleSlope, data.RescaleIntercept
    image = read_image(saved(tmp_path / "a.dcm", data))
    assert image.scale == Scale(0, float(stored.max()))
    data.RescaleSlope, data.RescaleIntercept, data.RescaleType = "0.5", "3", "Bq/ml"
    image = read_image(saved(tmp_path / "b.dcm", data))
    assert image.scale == Scale(0, stored.max() / 2 + 3, "Bq/ml")


def test_samples_of_twelve_bits(tmp_path: Path) -> None:
    """Bits above those that count may hold anything, overlays for example; negative numbers end at bit 11."""
    signed = RNG.integers(-2048, 2048, (6, 5))
    stored = (signed & 0xFFF).astype(np.uint16)
    data = dataset(stored, BitsStored=12, HighBit=11, PixelRepresentation=1, RescaleIntercept="0", Modality="MR")
    np.testing.assert_allclose(values(saved(tmp_path / "a.dcm", data)), signed, atol=1e-2)
    data = dataset(stored | 0x8000, BitsStored=12, HighBit=11, RescaleIntercept="0", Modality="MR")
    np.testing.assert_allclose(values(saved(tmp_path / "b.dcm", data)), stored, atol=1e-2)


def enhanced() -> Dataset:
    """Two frames with slopes of their own, and spacing that they share."""
    data = dataset(np.stack([HU, HU[::-1]]).astype(np.int16), NumberOfFrames=2, SOPClassUID=EnhancedCTImageStorage)
    for name in ("RescaleSlope", "RescaleIntercept", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient"):
        delattr(data, name)
    frames = []
    for number in (1, 2):
        frame, change, place = Dataset(), Dataset(), Dataset()
        change.RescaleSlope, change.RescaleIntercept, change.RescaleType = str(number / 2), str(10 * number), "HU"
        place.ImagePositionPatient = ["0", "0", str(5 * number)]
        frame.PixelValueTransformationSequence, frame.PlanePositionSequence = [change], [place]
        frames.append(frame)
    shared, measures = Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = ["0.4", "0.4"], "5"
    shared.PixelMeasuresSequence = [measures]
    data.PerFrameFunctionalGroupsSequence, data.SharedFunctionalGroupsSequence = frames, [shared]
    return data


def test_frames_have_slopes_of_their_own(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.dcm", enhanced())
    assert DICOM.items(path) == [Item(path, 1), Item(path, 2)]
    np.testing.assert_allclose(values(f"{path}#1"), HU * 0.5 + 10, atol=1e-3)
    np.testing.assert_allclose(values(f"{path}#2"), HU[::-1] + 20, atol=1e-3)
    second = read_image(f"{path}#2").geometry
    assert second is not None and second.origin == (0, 0, 10) and second.spacing == pytest.approx((0.4, 0.4, 5))
    with pytest.raises(InputError, match="holds 2 pages or frames"):
        read_image(path)
    with pytest.raises(InputError, match="a.dcm#3' is not there"):
        read_image(f"{path}#3")


def test_colours_and_inverted_greys(tmp_path: Path) -> None:
    rgb = RNG.integers(0, 256, (6, 5, 3), np.uint8)
    data = dataset(np.zeros((6, 5), np.uint8), BitsAllocated=8, BitsStored=8, HighBit=7, SamplesPerPixel=3)
    data.PhotometricInterpretation, data.PlanarConfiguration, data.PixelData = "RGB", 0, rgb.tobytes()
    np.testing.assert_array_equal(read_image(saved(tmp_path / "a.dcm", data)).pixels, rgb / np.float32(255))
    data = dataset((HU + 1024).astype(np.int16), PhotometricInterpretation="MONOCHROME1")
    assert "MONOCHROME1" in read_image(saved(tmp_path / "b.dcm", data)).notes[0]
    data.PhotometricInterpretation = "PALETTE COLOR"
    with pytest.raises(InputError, match="stored as PALETTE COLOR"):
        read_image(saved(tmp_path / "c.dcm", data))


def compressed(syntax: Any) -> Dataset:
    stored = (HU + 1024).astype(np.uint16)
    data = dataset(stored)
    if syntax == JPEG2000Lossless:
        Pillow.fromarray(stored).save(buffer := BytesIO(), "JPEG2000", irreversible=False, no_jp2=True)
        data.PixelData = encapsulate([buffer.getvalue()])
    elif syntax == RLELossless:
        data.compress(RLELossless)
        return data
    else:
        data.PixelData = encapsulate([bytes(100)])
    data["PixelData"].is_undefined_length = True
    data.file_meta.TransferSyntaxUID = syntax
    return data


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, RLELossless])
def test_compressed_files(tmp_path: Path, syntax: Any) -> None:
    np.testing.assert_allclose(values(saved(tmp_path / "a.dcm", compressed(syntax))), HU, atol=1e-3)


def test_a_compression_whose_library_is_missing(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="compressed .*JPEG-LS.*no library for that") as caught:
        read_image(saved(tmp_path / "a.dcm", compressed(JPEGLSLossless)))
    assert "pip install" in caught.value.hint


# Results ----------------------------------------------------------------------------------------------------------


def test_a_result_is_a_secondary_capture_without_a_patient(tmp_path: Path) -> None:
    path, scale = tmp_path / "a.dcm", Scale(-1024, 3072, "HU")
    pixels = RNG.normal(0.4, 0.3, (12, 10)).astype(np.float32)
    write_image(path, pixels, 32, scale=scale, provenance={"kind": "ct"}, geometry=PLACE)
    data = pydicom.dcmread(path)
    assert data.SOPClassUID == pydicom.uid.SecondaryCaptureImageStorage and data.PatientName == ""
    assert list(data.PixelSpacing) == [0.75, 0.5] and list(data.ImagePositionPatient) == [-10, 20, 35.5]
    shown = data.pixel_array * float(data.RescaleSlope) + float(data.RescaleIntercept)
    np.testing.assert_allclose(shown, scale.invert(pixels), atol=0.1)  # a step of 65535, to all that there is
    image = read_image(path)
    np.testing.assert_allclose(image.pixels, pixels, atol=1e-4)
    assert image.scale == scale and image.geometry == PLACE and read_provenance(path) == {"kind": "ct"}
    first = path.read_bytes()
    write_image(path, pixels, 32, scale=scale, provenance={"kind": "ct"}, geometry=PLACE)
    assert path.read_bytes() == first


def test_what_no_secondary_capture_holds(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="in colour is not written as DICOM"):
        write_image(tmp_path / "a.dcm", np.zeros((3, 4, 3)), 32)
    with pytest.raises(InputError, match="with 8 bits"):
        write_image(tmp_path / "a.dcm", np.zeros((3, 4)), 8)


@pytest.mark.usefixtures("folder")
def test_the_command_line_from_a_slice_to_a_slice(capsys: pytest.CaptureFixture[str]) -> None:
    stored = np.full((32, 32), 24, np.int16)
    stored[8:24, 10:20] = 1064  # 40 HU in air
    saved(Path("slice.dcm"), dataset(stored))
    assert main(["info", "slice.dcm"]) == 0
    out = capsys.readouterr().out
    assert "DICOM" in out and "-1024 to 3072 HU" in out and "Somebody" not in out
    assert main(["sense", "slice.dcm", "--preset", "ct"]) == 0
    assert b"Somebody" not in Path("measurements/slice.safetensors").read_bytes()
    given = ["--method", "tv", "--format"]
    assert main(["reconstruct", "measurements/slice.safetensors", *given, "dcm"]) == 0
    assert main(["reconstruct", "slice.dcm", "--preset", "ct", *given, "nii.gz"]) == 0
    for name in ("slice.dcm", "slice.nii.gz"):
        image = read_image(f"reconstructions/{name}")
        assert image.scale == Scale(-1024, 3072, "HU")
        assert np.abs(image.scale.invert(image.pixels)[12:20, 12:18] - 40).mean() < 25
        assert image.geometry is not None and image.geometry.spacing == pytest.approx(PLACE.spacing)
        assert image.geometry.origin == pytest.approx(PLACE.origin)


# Damaged and hostile files ----------------------------------------------------------------------------------------


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        for item in DICOM.items(path)[:1]:
            read_image(item, max_pixels=1_000_000)
    assert "\n" not in caught.value.message
    return caught.value.message


def test_a_truncated_file(tmp_path: Path) -> None:
    whole = saved(tmp_path / "a.dcm", dataset((HU + 1024).astype(np.int16))).read_bytes()
    for length in (140, 200, 400, len(whole) - 7):
        (tmp_path / "b.dcm").write_bytes(whole[:length])
        assert "truncated or damaged DICOM" in refused(tmp_path / "b.dcm")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"Rows": 65535, "Columns": 65535}, "more than the limit"),
        ({"Rows": 0}, "no pixels"),
        ({"NumberOfFrames": 2_000_000_000}, "claims 2000000000 frames"),
        ({"NumberOfFrames": -1}, "claims -1 frames"),
        ({"RescaleSlope": "0"}, "a slope of 0"),
        ({"BitsStored": 17}, "truncated or damaged"),
        ({"HighBit": 3}, "truncated or damaged"),
        ({"PhotometricInterpretation": "NOTHING"}, "stored as NOTHING"),
    ],
)
def test_claims_that_no_file_can_meet(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    assert words in refused(saved(tmp_path / "a.dcm", dataset((HU + 1024).astype(np.int16), **change)))


def test_a_damaged_geometry_is_left_out(tmp_path: Path) -> None:
    image = read_image(saved(tmp_path / "a.dcm", dataset((HU + 1024).astype(np.int16), PixelSpacing=["0", "0"])))
    assert image.geometry is None and image.notes == ("its geometry is damaged and left out",)


def test_a_deflated_file_and_a_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = dataset((HU + 1024).astype(np.int16), DeflatedExplicitVRLittleEndian)
    path = saved(tmp_path / "a.dcm", data)
    np.testing.assert_allclose(values(path), HU, atol=1e-3)
    start = path.read_bytes()
    monkeypatch.setattr("idmcli.io.formats.dicom.MAX_INFLATED", 2**20)
    length = 144 + int.from_bytes(start[140:144], "little")
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    path.write_bytes(start[:length] + packer.compress(bytes(2**23)) + packer.flush())
    assert path.stat().st_size < 10_000 and "unpacks to more than 1 MiB" in refused(path)


def test_a_picture_without_samples_of_its_kind(tmp_path: Path) -> None:
    data = dataset((HU + 1024).astype(np.int16))
    del data.PixelData
    assert "truncated or damaged" in refused(saved(tmp_path / "a.dcm", data))


def test_pydicom_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.dcm", dataset((HU + 1024).astype(np.int16)))
    monkeypatch.setitem(sys.modules, "pydicom", None)
    with pytest.raises(InputError, match="DICOM files need the library pydicom") as caught:
        read_image(path)
    assert caught.value.hint == "pip install 'idmcli[dicom]'"


def test_pictures_of_their_own_scale(tmp_path: Path) -> None:
    DICOM.write(tmp_path / "a.dcm", Picture(np.float32([[-5, 0], [3, 250]])))
    np.testing.assert_allclose(values(tmp_path / "a.dcm"), [[-5, 0], [3, 250]], atol=0.01)
