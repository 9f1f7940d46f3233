"""NIfTI as pictures, in files that nibabel writes: values, orientation, volumes, results, and hostile files."""

from __future__ import annotations

import gzip
import re
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from numpy.typing import NDArray

from idmcli.cli import main
from idmcli.errors import InputError
from idmcli.io.formats import NIFTI, Picture, format_of
from idmcli.io.geometry import Geometry
from idmcli.io.images import find_items, read_image, read_provenance, write_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale

RNG = np.random.default_rng(3)
# Right, front, head: a volume of 7 x 6 x 5 voxels whose value says where it lies, in mm.
AFFINE = np.array([[2.0, 0, 0, -10], [0, 3, 0, 20], [0, 0, 4, 5], [0, 0, 0, 1]])
CANONICAL = RNG.integers(0, 1000, (7, 6, 5)).astype(np.int16)


def stored(path: Path, values: NDArray[Any], affine: NDArray[Any] = AFFINE, kind: Any = nibabel.Nifti1Image) -> Path:
    image = kind(values, affine)
    image.to_filename(path)
    return path


def values(item: Path | str | Item) -> NDArray[Any]:
    image = read_image(item)
    return np.asarray(image.scale.invert(image.pixels.astype(np.float64)))


def seen(volume: NDArray[Any], place: int) -> NDArray[Any]:
    """A slice of a canonical volume as DICOM shows it."""
    return np.asarray(volume[::-1, ::-1, place].T)


@pytest.mark.parametrize("kind", [nibabel.Nifti1Image, nibabel.Nifti2Image])
@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_slices_of_a_volume(tmp_path: Path, name: str, kind: Any) -> None:
    path = stored(tmp_path / name, CANONICAL, kind=kind)
    assert format_of(path) is NIFTI
    items = NIFTI.items(path)
    assert items == [Item(path, number) for number in range(1, 6)] and items[2].stem == "a_3"
    for place, item in enumerate(items):
        np.testing.assert_allclose(values(item), seen(CANONICAL, place), atol=1e-3)
    assert read_image(items[1]).scale == Scale(0, float(CANONICAL[..., 1].max()))
    with pytest.raises(InputError, match="holds 5 pages"):
        read_image(path)


TURNS = [
    (axes, signs)
    for axes in [(0, 1, 2), (2, 0, 1), (1, 2, 0), (2, 1, 0)]
    for signs in [(1, 1, 1), (-1, 1, -1), (1, -1, -1)]
]


@pytest.mark.parametrize(("axes", "signs"), TURNS)
def test_every_orientation_gives_the_same_pictures_and_places(
    tmp_path: Path, axes: tuple[int, ...], signs: tuple[int, ...]
) -> None:
    """Against nibabel's own change of orientation."""
    reference = nibabel.Nifti1Image(CANONICAL, AFFINE)
    turned = reference.as_reoriented(np.array(list(zip(axes, signs, strict=True)), float))
    path = stored(tmp_path / "a.nii", np.asarray(turned.dataobj), turned.affine)
    for place in range(5):
        image = read_image(Item(path, place + 1))
        np.testing.assert_allclose(values(Item(path, place + 1)), seen(CANONICAL, place), atol=1e-3)
        assert image.geometry is not None
        assert image.geometry.spacing == pytest.approx((3, 2, 4))
        # The first pixel is the rightmost, frontmost voxel; DICOM counts to the left and to the back.
        np.testing.assert_allclose(image.geometry.origin, (-(6 * 2 - 10), -(5 * 3 + 20), 4 * place + 5), atol=1e-5)
        np.testing.assert_allclose([image.geometry.right, image.geometry.down], [(2, 0, 0), (0, 3, 0)], atol=1e-6)


def test_slope_and_intercept(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(CANONICAL.astype(np.uint8), AFFINE)
    image.header.set_slope_inter(0.5, -20)
    image.to_filename(tmp_path / "a.nii.gz")
    expected = nibabel.load(tmp_path / "a.nii.gz").get_fdata()
    np.testing.assert_allclose(values(f"{tmp_path / 'a.nii.gz'}#2"), seen(expected, 1), atol=1e-3)
    assert read_image(f"{tmp_path / 'a.nii.gz'}#2").scale.low == expected[..., 1].min()


def test_several_volumes_and_one_slice(tmp_path: Path) -> None:
    four = np.stack([CANONICAL, CANONICAL + 1], 3).astype(np.int16)
    path = stored(tmp_path / "a.nii", four)
    assert len(NIFTI.items(path)) == 10
    np.testing.assert_allclose(values(f"{path}#7"), seen(four[..., 1], 1), atol=1e-3)
    flat = stored(tmp_path / "b.nii", CANONICAL[..., 0])
    assert NIFTI.items(flat) == [Item(flat)]
    np.testing.assert_allclose(values(flat), seen(CANONICAL, 0), atol=1e-3)


def test_big_endian_and_floating_point_with_holes(tmp_path: Path) -> None:
    header = nibabel.Nifti1Header(endianness=">")
    header.set_data_dtype(np.float32)
    volume = CANONICAL.astype(np.float32)
    volume[0, 0, 0] = np.nan
    nibabel.Nifti1Image(volume, AFFINE, header).to_filename(tmp_path / "a.nii")
    image = read_image(f"{tmp_path / 'a.nii'}#1")
    assert image.notes == ("1 values that are no numbers set to 0",)
    np.testing.assert_allclose(values(f"{tmp_path / 'a.nii'}#1"), seen(np.nan_to_num(volume), 0), atol=1e-3)


def test_a_folder_of_packed_files(tmp_path: Path) -> None:
    stored(tmp_path / "a.nii.gz", CANONICAL[..., 0])
    (tmp_path / "b.tar.gz").write_bytes(b"")
    assert find_items([tmp_path]) == [Item(tmp_path / "a.nii.gz")]


# Results ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
def test_a_result_has_its_place(tmp_path: Path, name: str) -> None:
    place = Geometry((-3, 7, 11), (0, 1.8, 0.6), (0.5, 0, 0), (0, -1, 3))
    pixels, scale = RNG.normal(0.5, 1, (6, 7)).astype(np.float32), Scale(-1024, 3072, "HU")
    write_image(tmp_path / name, pixels, 32, scale=scale, provenance={"kind": "ct"}, geometry=place)
    loaded = nibabel.load(tmp_path / name)
    assert loaded.shape == (7, 6, 1)
    np.testing.assert_allclose(loaded.get_fdata()[..., 0].T, scale.invert(pixels), rtol=1e-5)
    np.testing.assert_allclose(loaded.affine @ [2, 3, 0, 1], [3 - 1, -7 - 5.4, 11 + 1.8, 1], atol=1e-5)
    image = read_image(tmp_path / name)
    np.testing.assert_allclose(image.pixels, pixels, atol=1e-5)
    assert image.scale == scale and read_provenance(tmp_path / name) == {"kind": "ct"}
    assert image.geometry is not None
    np.testing.assert_allclose(image.geometry.down, place.down, atol=1e-6)
    first = (tmp_path / name).read_bytes()
    write_image(tmp_path / name, pixels, 32, scale=scale, provenance={"kind": "ct"}, geometry=place)
    assert (tmp_path / name).read_bytes() == first
    with pytest.raises(InputError, match="in colour"):
        write_image(tmp_path / name, np.zeros((3, 4, 3)), 32)


@pytest.mark.usefixtures("folder")
def test_the_command_line_with_a_slice_of_a_volume(capsys: pytest.CaptureFixture[str]) -> None:
    volume = np.zeros((32, 24, 3), np.float32)
    volume[8:24, 6:18] = [[[10, 20, 30]]]
    stored(Path("head.nii.gz"), volume)
    assert main(["info", "head.nii.gz"]) == 0
    assert "NIfTI" in capsys.readouterr().out
    assert main(["sense", "head.nii.gz#2", "--ratio", "0.5"]) == 0
    assert main(["reconstruct", "measurements/head_2.safetensors", "--method", "tv", "--format", "nii.gz"]) == 0
    result = nibabel.load("reconstructions/head_2.nii.gz")
    assert result.shape == (32, 24, 1) and np.abs(result.get_fdata()[14:18, 10:14] - 20).max() < 2
    assert main(["reconstruct", "head.nii.gz#3", "--method", "pinv"]) == 0
    assert main(["sense", "head.nii.gz"]) == 2
    assert "FILE#N" in capsys.readouterr().err


# Damaged and hostile files ----------------------------------------------------------------------------------------


def forged(path: Path, data: bytes = bytes(1000), **fields: Any) -> Path:
    """A header with odd values, and some data."""
    header = nibabel.Nifti1Header()
    header.set_data_shape((7, 6, 5))
    header["magic"], header["vox_offset"], header["srow_x"][0] = b"n+1", 352, 1
    for name, value in fields.items():
        header[name] = value
    content = header.binaryblock + bytes(4) + data
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        for item in NIFTI.items(path)[:1]:
            read_image(item, max_pixels=1_000_000)
    assert "\n" not in caught.value.message
    return caught.value.message


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz"])
@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"dim": [3, 32767, 32767, 32767, 1, 1, 1, 1]}, "claims a volume of 32767 x 32767 x 32767"),
        ({"dim": [4, 1, 1, 32767, 32767, 1, 1, 1]}, "claims 1073676289 slices"),
        ({"dim": [3, 2000, 1500, 5, 1, 1, 1, 1]}, "more than the limit"),
        ({"dim": [3, 0, 6, 5, 1, 1, 1, 1]}, "claims a volume of 0 x"),
        ({"dim": [3, -4, 6, 5, 1, 1, 1, 1]}, "claims a volume of -4 x"),
        ({"dim": [3, 500, 500, 5, 1, 1, 1, 1], "datatype": 16, "bitpix": 32}, "truncated or damaged"),
        ({"datatype": 32, "bitpix": 64}, "holds complex numbers"),
        ({"datatype": 128, "bitpix": 24}, "holds colours"),
        ({"datatype": 999}, "truncated or damaged"),
        ({"sform_code": 1, "srow_x": 0, "srow_y": 0, "srow_z": 0}, "axes that do not span space"),
        ({"sform_code": 1, "srow_x": np.nan}, "truncated or damaged|axes"),
    ],
)
def test_claims_that_no_file_can_meet(tmp_path: Path, name: str, fields: dict[str, Any], words: str) -> None:

    assert re.search(words, refused(forged(tmp_path / name, **fields)))


def test_a_truncated_file(tmp_path: Path) -> None:
    for name in ("a.nii", "a.nii.gz"):
        whole = stored(tmp_path / name, CANONICAL).read_bytes()
        (tmp_path / name).write_bytes(whole[: len(whole) - 300])
        with pytest.raises(InputError, match="truncated or damaged NIfTI"):
            read_image(f"{tmp_path / name}#5")


def test_a_bomb_of_gzip_is_unpacked_no_further_than_it_is_read(tmp_path: Path) -> None:

    path = forged(tmp_path / "a.nii.gz", bytes(2**26), datatype=4, bitpix=16)
    assert path.stat().st_size < 2**17
    tracemalloc.start()
    assert read_image(f"{path}#2").pixels.max() == 0
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**24


def test_two_files_are_no_nifti(tmp_path: Path) -> None:
    """A header without data names no file that would be read beside it."""
    forged(tmp_path / "a.hdr", magic=b"ni1")
    assert format_of(tmp_path / "a.hdr") is None


def test_nibabel_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stored(tmp_path / "a.nii", CANONICAL[..., 0])
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(InputError, match="NIfTI files need the library nibabel") as caught:
        read_image(path)
    assert caught.value.hint == "pip install 'idmcli[nifti]'"


def test_pictures_without_a_place(tmp_path: Path) -> None:
    NIFTI.write(tmp_path / "a.nii", Picture(np.float32([[-5, 0], [3, 250]])))
    np.testing.assert_allclose(values(tmp_path / "a.nii"), [[-5, 0], [3, 250]], atol=1e-4)
