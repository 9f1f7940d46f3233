"""The registry of formats, pages as items, scales and provenance of pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import imageio.v3 as iio
import numpy as np
import pytest
import tifffile
import torch
from numpy.typing import NDArray
from PIL import Image as Pillow

from idmcli.errors import InputError
from idmcli.io import png
from idmcli.io.formats import BMP, DICOM, NIFTI, TIFF, Picture, format_of, picture_formats
from idmcli.io.images import find_items, read_image, read_provenance, write_image
from idmcli.io.items import Item
from idmcli.io.scale import Scale
from idmcli.measuring import Measurement, Provenance
from idmcli.measuring.format import MEASUREMENT
from idmcli.operators import Inpainting

RNG = np.random.default_rng(5)
GREY = RNG.integers(0, 256, (13, 10), np.uint8)
RGB = RNG.integers(0, 256, (13, 10, 3), np.uint8)
HU = Scale(-1024, 3072, "HU")
PROVENANCE = {"command": "idm reconstruct é.png", "version": "0.1.0", "kind": "cs", "seed": 1, "sha256": "0" * 64}


def unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    return (samples / np.float64(np.iinfo(samples.dtype).max)).astype(np.float32)


def measurement() -> Measurement:
    mask = torch.ones(2, 3, dtype=torch.bool)
    return Measurement(Inpainting((1, 2, 3), mask), torch.zeros(1, 6), provenance=Provenance("idm", "a.png", "0" * 64))


# The registry -----------------------------------------------------------------------------------------------------


def test_every_format_recognises_its_files_whatever_their_name(tmp_path: Path) -> None:
    for name in ("PNG", "JPEG", "TIFF", "BMP", "GIF"):
        Pillow.fromarray(GREY).save(tmp_path / name, name)
    for format in (DICOM, NIFTI):
        format.write(tmp_path / format.name, Picture(GREY.astype(np.float32)))
    measurement().save(tmp_path / "m.safetensors")
    (tmp_path / "m.safetensors").rename(tmp_path / "measurements")
    (tmp_path / "words").write_text("words")
    os.mkfifo(tmp_path / "fifo")
    for format in (*picture_formats(), MEASUREMENT):
        assert format_of(tmp_path / format.name) is format
        assert format.items(tmp_path / format.name) == [Item(tmp_path / format.name)]
    for name in ("words", "fifo", "missing", "."):
        assert format_of(tmp_path / name) is None


def test_measurements_are_a_format(tmp_path: Path) -> None:
    format, path = MEASUREMENT, tmp_path / "m.safetensors"
    format.write(path, measurement())
    assert torch.equal(format.read(Item(path)).y, torch.zeros(1, 6))
    assert format.read(Item(path, 1)).operator.kind == "inpainting"
    with pytest.raises(InputError, match="m.safetensors#2' is not there"):
        format.read(Item(path, 2))


def test_what_is_only_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="BMP files are only read"):
        BMP.write(tmp_path / "a.bmp", Picture(GREY))


def test_grey_16_bit_png_by_both_decoders(tmp_path: Path) -> None:
    samples = RNG.integers(0, 65536, (13, 10), np.uint16)
    data = png.encode16(samples)
    chunks = png.read_chunks(data)
    assert np.array_equal(iio.imread(data, plugin="pillow"), samples)
    assert np.array_equal(png.decode16(png.read_header(data), chunks[b"IDAT"])[..., 0], samples)


# Items ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "pages",
    [
        [GREY, GREY[::-1], GREY[:, :4]],
        [RGB, RGB[::-1], GREY],
        [page.astype(np.uint16) * 257 for page in (GREY, GREY[::-1], RGB)],
        [GREY, GREY.astype(np.uint16), (GREY / 255).astype(np.float32)],
    ],
    ids=["8", "rgb", "16", "mixed"],
)
def test_pages_of_a_tiff(tmp_path: Path, pages: list[NDArray[Any]]) -> None:
    path = tmp_path / "stack.tif"
    with tifffile.TiffWriter(path) as writer:
        for page in pages:
            writer.write(page, photometric="rgb" if page.ndim == 3 else "minisblack", metadata=None)
    with pytest.raises(InputError, match="holds 3 pages") as caught:
        read_image(path)
    assert caught.value.hint == "name one page as FILE#N, with N from 1 to 3"
    items = TIFF.items(path)
    assert [str(item) for item in items] == [f"{path}#{number}" for number in (1, 2, 3)]
    for item, page in zip(items, pages, strict=True):
        image = read_image(str(item))
        assert np.array_equal(image.pixels, page if page.dtype == np.float32 else unit(page))
        assert (image.item, image.path, image.item.stem) == (item, path, f"stack_{item.number}")
    with pytest.raises(InputError, match="stack.tif#4' is not there: the file ends with page 3"):
        read_image(f"{path}#4")
    assert np.array_equal(read_image(Item(path, 2)).pixels, read_image(f"{path}#2").pixels)


def test_frames_of_a_gif(tmp_path: Path) -> None:
    path, frames = tmp_path / "a.gif", [Pillow.fromarray(GREY // 4 + np.uint8(40 * i)) for i in range(3)]
    frames[0].save(path, save_all=True, append_images=frames[1:])
    for number, frame in enumerate(frames, 1):
        for _ in range(2):  # whatever was read before
            image = read_image(Item(path, number))
            assert np.array_equal(image.pixels, unit(np.asarray(frame)))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif"])
def test_one_picture_is_number_one(tmp_path: Path, name: str) -> None:
    Pillow.fromarray(GREY).save(tmp_path / name)
    assert np.array_equal(read_image(Item(tmp_path / name, 1)).pixels, read_image(tmp_path / name).pixels)
    with pytest.raises(InputError, match=rf"{name}#2' is not there: the file ends with page 1"):
        read_image(f"{tmp_path / name}#2")


def test_a_name_with_the_mark_is_a_name(tmp_path: Path) -> None:
    write_image(tmp_path / "a#1.png", unit(GREY))
    (tmp_path / "a#1.png").rename(tmp_path / "b.png#2")
    assert read_image(tmp_path / "b.png#2").item == Item(tmp_path / "b.png#2")
    with pytest.raises(InputError, match="b.png' does not exist"):
        read_image(tmp_path / "b.png#3")


def test_pages_behind_one_header(tmp_path: Path) -> None:
    stack = np.stack([GREY.astype(np.uint16)] * 3)
    tifffile.imwrite(tmp_path / "a.tif", stack, photometric="minisblack", truncate=True)
    assert np.array_equal(read_image(f"{tmp_path / 'a.tif'}#1").pixels, unit(stack[0]))
    with pytest.raises(InputError, match="lies behind the header of the first page"):
        read_image(f"{tmp_path / 'a.tif'}#2")


def test_find_items(folder: Path) -> None:
    for name in ("a.tif", "b.png", "c.png#1"):
        (folder / name).touch()
    assert find_items(["a.tif#2", "b.png", "./a.tif#2", "c.png#1", "a.tif"]) == [
        Item(Path("a.tif"), 2),
        Item(Path("b.png")),
        Item(Path("c.png#1")),
        Item(Path("a.tif")),
    ]
    with pytest.raises(InputError, match="'d.tif#1' does not exist"):
        find_items(["d.tif#1"])


# Scale ------------------------------------------------------------------------------------------------------------


def test_a_float_tiff_is_mapped_by_a_scale(tmp_path: Path) -> None:
    values = np.array([[-1024, 0, 3072], [1024, 4096, -1228.8]], np.float32)
    tifffile.imwrite(tmp_path / "a.tif", values)
    with pytest.raises(InputError, match="from -1228.8 to 4096, outside 0 to 1") as caught:
        read_image(tmp_path / "a.tif")
    assert "say what 0 and 1 stand for" in caught.value.hint
    image = read_image(tmp_path / "a.tif", scale=HU)
    assert np.allclose(image.pixels, [[0, 0.25, 1], [0.5, 1.25, -0.05]], rtol=0, atol=1e-7)
    assert image.scale == HU
    assert image.notes == ("values from -1228.8 to 4096 reach beyond the scale -1024 to 3072 HU",)
    with pytest.raises(InputError, match="not finite"):
        tifffile.imwrite(tmp_path / "a.tif", values * np.nan)
        read_image(tmp_path / "a.tif", scale=HU)


def test_integers_keep_their_samples_under_a_scale(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", unit(GREY), 16, scale=HU)
    image = read_image(tmp_path / "a.png")
    assert np.allclose(image.pixels, unit(GREY), rtol=0, atol=1e-5)
    assert image.scale == HU
    assert read_image(tmp_path / "a.png", scale=Scale(0, 2)).scale == Scale(0, 2)
    write_image(tmp_path / "a.png", unit(GREY))
    assert read_image(tmp_path / "a.png").scale == Scale()


@pytest.mark.parametrize("scale", [None, HU])
def test_float_results_are_neither_clipped_nor_rounded(tmp_path: Path, scale: Scale | None) -> None:
    path, pixels = tmp_path / "a.tif", RNG.normal(0.5, 1, (7, 5, 3)).astype(np.float32)
    write_image(path, pixels, 32, scale=scale)
    stored = tifffile.imread(path)
    assert stored.dtype == np.float32
    assert np.allclose(stored, (scale or Scale()).invert(pixels.astype(np.float64)), rtol=1e-6)
    image = read_image(path)  # the file says what its values mean
    assert np.allclose(image.pixels, pixels, rtol=0, atol=1e-6)
    assert image.scale == (scale or Scale())


def test_float_is_for_tiff(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg"):
        with pytest.raises(InputError, match="with 32 bits") as caught:
            write_image(tmp_path / name, unit(GREY), 32)
        assert caught.value.hint == "use .tif"


def test_the_magnitude_of_complex_pixels(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", unit(GREY) * np.exp(1j))
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, unit(GREY))


# Provenance -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "bits"), [("a.png", 8), ("a.png", 16), ("a.jpg", 8), ("a.tif", 8), ("a.tif", 16), ("a.tif", 32)]
)
@pytest.mark.parametrize("samples", [GREY, RGB], ids=["grey", "rgb"])
def test_provenance(tmp_path: Path, samples: NDArray[Any], name: str, bits: int) -> None:
    path = tmp_path / name
    write_image(path, unit(samples), bits)
    bare = read_image(path)
    assert read_provenance(path) == {}
    write_image(path, unit(samples), bits, provenance=PROVENANCE, scale=HU if bits == 32 else None)
    assert read_provenance(path) == PROVENANCE
    assert np.allclose(read_image(path).pixels, bare.pixels, rtol=0, atol=1e-6)
    first = path.read_bytes()
    assert b'"command":"idm reconstruct \\u00e9.png"' in first
    write_image(path, unit(samples), bits, provenance=PROVENANCE, scale=HU if bits == 32 else None)
    assert path.read_bytes() == first


def test_other_readers_see_the_provenance(tmp_path: Path) -> None:
    for name in ("a.png", "a.jpg", "a.tif"):
        write_image(tmp_path / name, unit(RGB), provenance=PROVENANCE)
    with Pillow.open(tmp_path / "a.png") as picture:
        assert json.loads(picture.info["idm"])["provenance"] == PROVENANCE
    with Pillow.open(tmp_path / "a.jpg") as picture:
        assert json.loads(picture.info["comment"])["provenance"] == PROVENANCE
    with tifffile.TiffFile(tmp_path / "a.tif") as tiff:
        assert json.loads(tiff.pages.first.description)["provenance"] == PROVENANCE


@pytest.mark.parametrize(
    "text",
    [
        "words",
        "{",
        "[1]",
        '{"provenance":{"a":1}}',
        '{"idm":1}',
        '{"idm":1,"provenance":3}',
        '{"idm":1,"provenance":{},"scale":{"low":1,"high":0}}',
        '{"idm":1,"provenance":' + "[" * 5000 + "]" * 5000 + "}",
        '{"idm":1,"provenance":{"a":"' + "x" * 70000 + '"}}',
    ],
)
def test_foreign_comments_are_none_of_ours(tmp_path: Path, text: str) -> None:
    tifffile.imwrite(tmp_path / "a.tif", GREY, description=text, metadata=None)
    assert read_provenance(tmp_path / "a.tif") == {}
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, unit(GREY))


def test_a_provenance_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit into a picture"):
        write_image(tmp_path / "a.png", unit(GREY), provenance={"command": "x" * 70000})
    assert os.listdir(tmp_path) == []


# Names ------------------------------------------------------------------------------------------------------------

NAMES = ["a b", "a\nb", "\x1b[31m", "🙂é", "\udcff\udc80", "-rf", "--help", "~", "a.zip", "http:", "#1", "%41", "*?[1]"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_any_name_is_written_and_read(folder: Path, name: str) -> None:
    for suffix in (".png", ".jpg", ".tif"):
        path = Path(name + suffix)
        write_image(path, unit(GREY), provenance=PROVENANCE)
        assert read_image(path).pixels.shape == GREY.shape
        assert read_provenance(path) == PROVENANCE
        assert find_items([str(path)]) == [Item(path)]
        path.write_bytes(path.read_bytes()[:40])
        with pytest.raises(InputError, match="is not a readable image") as caught:
            read_image(path)
        assert caught.value.message.isprintable()
        caught.value.message.encode()


def test_no_waiting_for_a_fifo(folder: Path) -> None:
    os.mkfifo("a.png")
    for read in (read_image, read_provenance):
        with pytest.raises(InputError, match="'a.png' is not a regular file"):
            read(Path("a.png"))
    with pytest.raises(InputError, match="'a.png' is not a regular file; 'b.png' does not exist"):
        find_items(["a.png", "b.png"])
