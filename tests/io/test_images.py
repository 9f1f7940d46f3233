"""Reading pictures faithfully or refusing them with a reason."""

from __future__ import annotations

import errno
import os
import struct
import zlib
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import ImageCms

from idmcli.errors import InputError, NumericalError, ResourceError
from idmcli.io import png
from idmcli.io.images import find_images, luminance, read_image, write_image
from idmcli.io.scale import Scale

HU = Scale(-1024, 3072, "HU")
RNG = np.random.default_rng(3)
GREY8 = RNG.integers(0, 256, (13, 10), np.uint8)
RGB8 = RNG.integers(0, 256, (13, 10, 3), np.uint8)
GREY16 = RNG.integers(0, 65536, (13, 10), np.uint16)
RGB16 = RNG.integers(0, 65536, (13, 10, 3), np.uint16)
SMOOTH = np.add.outer(np.arange(64), np.arange(48)).astype(np.uint8)


def unit(samples: NDArray[Any]) -> NDArray[np.float32]:
    return (samples / np.float64(np.iinfo(samples.dtype).max)).astype(np.float32)


def save(path: Path, samples: NDArray[Any], **options: Any) -> Path:
    Pillow.fromarray(samples).save(path, **options)
    return path


# Faithful reading -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("samples", [GREY8, RGB8, GREY16, RGB16], ids=["grey8", "rgb8", "grey16", "rgb16"])
@pytest.mark.parametrize("suffix", [".png", ".tif", ".TIFF"])
def test_lossless_round_trip(tmp_path: Path, samples: NDArray[Any], suffix: str) -> None:
    path = tmp_path / f"a b é{suffix}"
    bits = samples.dtype.itemsize * 8
    write_image(path, unit(samples), bits=bits)
    image = read_image(path)
    assert image.pixels.dtype == np.float32
    assert np.array_equal(image.pixels, unit(samples))
    assert (image.bits, image.path, image.notes) == (bits, path, ())
    assert os.listdir(tmp_path) == [path.name]


def test_16_bits_are_read_to_the_last(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png.encode16(RGB16))
    assert np.array_equal(np.rint(read_image(tmp_path / "a.png").pixels * 65535.0), RGB16)


@pytest.mark.parametrize("options", [{}, {"compression": "tiff_lzw"}, {"compression": "tiff_deflate"}])
@pytest.mark.parametrize("samples", [GREY8, RGB8], ids=["grey", "rgb"])
def test_tiff_of_other_writers(tmp_path: Path, samples: NDArray[Any], options: dict[str, Any]) -> None:
    image = read_image(save(tmp_path / "a.tif", samples, **options))
    assert np.array_equal(image.pixels, unit(samples))
    assert image.notes == ()


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}, {"rowsperstrip": 2}, {"tile": (16, 16)}])
@pytest.mark.parametrize("samples", [GREY8, GREY16, RGB16], ids=["grey8", "grey16", "rgb16"])
def test_tiff_layouts(tmp_path: Path, samples: NDArray[Any], options: dict[str, Any], byteorder: Any) -> None:
    photometric = "rgb" if samples.ndim == 3 else "minisblack"
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric=photometric, byteorder=byteorder, **options)
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, unit(samples))


def test_tiff_planar(tmp_path: Path) -> None:
    planes = np.ascontiguousarray(np.moveaxis(RGB16, -1, 0))
    tifffile.imwrite(tmp_path / "a.tif", planes, photometric="rgb", planarconfig="separate")
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, unit(RGB16))


def test_a_lossy_jpeg_is_close(tmp_path: Path) -> None:
    write_image(tmp_path / "a.jpg", unit(SMOOTH))
    image = read_image(tmp_path / "a.jpg")
    assert image.pixels.shape == SMOOTH.shape
    assert np.abs(image.pixels - unit(SMOOTH)).max() < 0.02


def test_the_content_decides_not_the_name(tmp_path: Path) -> None:
    save(tmp_path / "a.png", RGB8, format="BMP")
    assert np.array_equal(read_image(str(tmp_path / "a.png")).pixels, unit(RGB8))


# Conversions that are noted ---------------------------------------------------------------------------------------


def test_palette(tmp_path: Path) -> None:
    picture = Pillow.fromarray(GREY8 % 3).convert("P")
    picture.putpalette([10, 20, 30, 40, 50, 60, 70, 80, 90])
    for name in ("a.png", "a.gif", "a.tif", "a.bmp"):
        picture.save(tmp_path / name)
        image = read_image(tmp_path / name)
        assert image.notes == ("palette expanded",)
        expected = np.array([[10, 20, 30], [40, 50, 60], [70, 80, 90]], np.uint8)[GREY8 % 3]
        assert np.array_equal(image.pixels, unit(expected))


def test_a_palette_of_greys_is_grey(tmp_path: Path) -> None:
    picture = Pillow.fromarray(GREY8 % 2).convert("P")
    picture.putpalette([7, 7, 7, 200, 200, 200])
    picture.save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png").pixels, unit(np.array([7, 200], np.uint8)[GREY8 % 2]))


@pytest.mark.parametrize("name", ["a.png", "a.tif", "a.bmp"])
def test_one_bit(tmp_path: Path, name: str) -> None:
    save(tmp_path / name, GREY8 > 100)
    image = read_image(tmp_path / name)
    assert np.array_equal(image.pixels, (GREY8 > 100).astype(np.float32))
    assert len(image.notes) == 1
    assert (image.bits, image.notes[0]) in [(8, "1-bit picture expanded to 8 bits"), (8, "palette expanded")]


def raw_png(depth: int, colour: int, width: int, rows: list[bytes], extra: bytes = b"") -> bytes:
    def chunk(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour, 0, 0, 0))
    return (
        png.SIGNATURE
        + header
        + extra
        + chunk(b"IDAT", zlib.compress(b"".join(b"\0" + r for r in rows)))
        + chunk(b"IEND", b"")
    )


def transparency(*values: int) -> bytes:
    body = struct.pack(f">{len(values)}H", *values)
    return struct.pack(">I", len(body)) + b"tRNS" + body + struct.pack(">I", zlib.crc32(b"tRNS" + body))


def test_four_bit_grey(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(raw_png(4, 0, 4, [b"\x0f\x5a"]))
    image = read_image(tmp_path / "a.png")
    assert np.allclose(image.pixels, np.array([[0, 15, 5, 10]]) / 15)
    assert image.notes == ("4-bit grey expanded to 8 bits",)


@pytest.mark.parametrize(
    ("depth", "colour", "row", "width", "absent", "present"),
    [
        (1, 0, b"\x0f", 8, (9,), (0,)),
        (2, 0, b"\x6d", 4, (0,), (2,)),
        (4, 0, b"\x0f\x5a", 4, (3,), (5,)),
        (8, 0, b"\x01\x02", 2, (3,), (2,)),
        (8, 2, b"\x01\x02\x03", 1, (1, 2, 2), (1, 2, 3)),
        (16, 0, b"\x01\x02", 1, (2,), (258,)),
        (16, 2, b"\x00\x01\x00\x02\x00\x03", 1, (1, 2, 2), (1, 2, 3)),
    ],
)
def test_a_transparent_colour_matters_only_where_it_occurs(
    tmp_path: Path, depth: int, colour: int, row: bytes, width: int, absent: tuple[int, ...], present: tuple[int, ...]
) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(raw_png(depth, colour, width, [row], transparency(*absent)))
    assert "fully opaque alpha channel dropped" in read_image(path).notes
    opaque = read_image(path).pixels
    path.write_bytes(raw_png(depth, colour, width, [row], transparency(*present)))
    image = read_image(path)
    whitened = (image.pixels != opaque).reshape(1, width, -1).any(axis=2)
    assert whitened.any() and (image.pixels[whitened] == 1).all()
    assert f"transparent in {100 * whitened.mean():.3g} % of the pixels: laid over white" in image.notes


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.jpg", "a.png", "a.tif", "16.png", "16.tif"])
def test_orientation_is_undone(tmp_path: Path, orientation: int, name: str) -> None:
    exif = Pillow.Exif()
    exif[0x0112] = orientation
    path = tmp_path / name
    if name == "16.tif":
        tag = (0x0112, "H", 1, orientation, True)
        tifffile.imwrite(path, SMOOTH.astype(np.uint16) * 257, photometric="minisblack", extratags=[tag])
    elif name == "16.png":
        body = exif.tobytes().removeprefix(b"Exif\0\0")
        chunk = struct.pack(">I", len(body)) + b"eXIf" + body + struct.pack(">I", zlib.crc32(b"eXIf" + body))
        data = png.encode16(SMOOTH.astype(np.uint16) * 257)
        path.write_bytes(data[: png.HEADER_BYTES] + chunk + data[png.HEADER_BYTES :])
    else:
        save(path, SMOOTH, exif=exif)
    image = read_image(path)
    upright = {
        1: SMOOTH,
        2: np.fliplr(SMOOTH),
        3: np.rot90(SMOOTH, 2),
        4: np.flipud(SMOOTH),
        5: SMOOTH.T,
        6: np.rot90(SMOOTH, -1),
        7: np.rot90(SMOOTH, 2).T,
        8: np.rot90(SMOOTH),
    }[orientation]
    assert image.pixels.shape == upright.shape
    assert np.abs(image.pixels - unit(upright)).max() < (0.02 if name == "a.jpg" else 1e-7)
    assert image.pixels.flags.c_contiguous
    expected = () if orientation == 1 else (f"turned upright as its orientation tag {orientation} asks",)
    assert image.notes == expected


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_opaque_alpha_is_dropped_and_transparency_laid_over_white(tmp_path: Path, name: str) -> None:
    opaque = np.dstack([RGB8, np.full(RGB8.shape[:2], 255, np.uint8)])
    image = read_image(save(tmp_path / name, opaque))
    assert np.array_equal(image.pixels, unit(RGB8))
    assert image.notes == ("fully opaque alpha channel dropped",)
    opaque[3, 4, 3], opaque[5, 6, 3] = 51, 0
    image = read_image(save(tmp_path / name, opaque))
    expected = unit(RGB8)
    expected[3, 4] = np.rint(0.2 * RGB8[3, 4] + 0.8 * 255) / 255
    expected[5, 6] = 1
    np.testing.assert_allclose(image.pixels, expected, atol=1e-6)
    assert image.notes == ("transparent in 1.54 % of the pixels: laid over white",)


@pytest.mark.parametrize("kind", ["unassalpha", "assocalpha"])
def test_16_bit_alpha_is_laid_over_white(tmp_path: Path, kind: str) -> None:
    """Associated alpha has the colours multiplied by the opacity already."""
    alpha = np.full(GREY16.shape, 16384, np.uint16)
    stored = GREY16 // 4 if kind == "assocalpha" else GREY16
    samples = np.dstack([stored, alpha])
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="minisblack", extrasamples=[kind], planarconfig="contig")
    image = read_image(tmp_path / "a.tif")
    np.testing.assert_allclose(image.pixels, 0.25 * unit(GREY16) + 0.75, atol=1e-4)
    assert image.notes == ("transparent in 100 % of the pixels: laid over white",)


def test_16_bit_alpha(tmp_path: Path) -> None:
    samples = np.dstack([RGB16, np.full(RGB16.shape[:2], 65535, np.uint16)])
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb", extrasamples=["unassalpha"])
    assert np.array_equal(read_image(tmp_path / "a.tif").pixels, unit(RGB16))
    rows = [row.astype(">u2").tobytes() for row in samples]
    (tmp_path / "a.png").write_bytes(raw_png(16, 6, 10, rows))
    image = read_image(tmp_path / "a.png")
    assert np.array_equal(image.pixels, unit(RGB16))
    assert image.notes == ("fully opaque alpha channel dropped",)
    rows[2] = b"\0" * 80
    (tmp_path / "a.png").write_bytes(raw_png(16, 6, 10, rows))
    image = read_image(tmp_path / "a.png")
    assert (image.pixels[2] == 1).all() and np.array_equal(image.pixels[3:], unit(RGB16)[3:])


def test_a_transparent_palette_is_laid_over_white(tmp_path: Path) -> None:
    picture = Pillow.fromarray(GREY8 % 3).convert("P")
    picture.save(tmp_path / "a.png", transparency=1)
    image = read_image(tmp_path / "a.png")
    expected = np.where(GREY8 % 3 == 1, 255, GREY8 % 3) / 255
    assert np.allclose(image.pixels if image.pixels.ndim == 2 else image.pixels[..., 0], expected)


@pytest.mark.parametrize("samples", [GREY8, GREY16], ids=["8", "16"])
def test_white_is_zero(tmp_path: Path, samples: NDArray[Any]) -> None:
    top = np.iinfo(samples.dtype).max
    tifffile.imwrite(tmp_path / "a.tif", top - samples, photometric="miniswhite")
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, unit(samples))
    assert image.notes == ("inverted, since it stores white as zero",)


def test_white_is_zero_with_a_scale(tmp_path: Path) -> None:
    """Samples are counted down from white, wherever that is; values in a unit mean the same in every file."""
    twelve = GREY16 // 16
    tifffile.imwrite(tmp_path / "a.tif", 4095 - twelve, photometric="miniswhite")
    image = read_image(tmp_path / "a.tif", scale=Scale(white=4095))
    assert np.array_equal(image.pixels, (twelve / 4095).astype(np.float32))
    assert image.notes == ("inverted, since it stores white as zero",)
    for dtype in (np.int16, np.float32):
        values = (GREY16 // 16).astype(dtype) - 1024
        tifffile.imwrite(tmp_path / "b.tif", values, photometric="miniswhite")
        image = read_image(tmp_path / "b.tif", scale=HU)
        np.testing.assert_allclose(image.pixels, (values + 1024.0) / 4096, atol=1e-6)
        assert image.notes == (
            "not inverted, though it stores white as zero: values in -1024 to 3072 HU mean the same",
        )


# White, signed numbers, profiles ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize(("top", "white"), [(2**10 - 30, 1023), (2**12 - 6, 4095), (2**14 - 1, 16383), (200, 255)])
def test_few_bits_in_16(tmp_path: Path, suffix: str, top: int, white: int) -> None:
    samples = (SMOOTH.astype(np.int64) * top // SMOOTH.max()).astype(np.uint16)
    path = tmp_path / f"a{suffix}"
    path.write_bytes(png.encode16(samples)) if suffix == ".png" else tifffile.imwrite(path, samples)
    (note,) = read_image(path).notes
    assert note.startswith(f"it uses {100 * top / 65535:.2g} % of its range from 0 to 65535")
    assert note.endswith(f"if its white is {white}, say --white {white}")
    image = read_image(path, scale=Scale(white=white))
    assert image.notes == () and image.scale.white == white
    assert np.array_equal(image.pixels, (samples / np.float64(white)).astype(np.float32))
    write_image(tmp_path / f"back{suffix}", image.pixels, 16, scale=image.scale)
    again = read_image(tmp_path / f"back{suffix}")  # the file says what its white is
    assert np.array_equal(again.pixels, image.pixels) and again.notes == () and again.scale == image.scale


def test_a_range_in_use_and_a_black_picture_have_no_note(tmp_path: Path) -> None:
    for samples in (GREY16, np.zeros((5, 6), np.uint16), GREY8 // 20):
        tifffile.imwrite(tmp_path / "a.tif", samples)
        assert read_image(tmp_path / "a.tif").notes == ()


def test_whites_that_do_not_fit(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"white is 4095, and the samples of 8 bits end with 255"):
        read_image(save(tmp_path / "a.png", GREY8), scale=Scale(white=4095))
    with pytest.raises(InputError, match="samples of 8 bits end with 255"):
        write_image(tmp_path / "b.jpg", unit(GREY8), scale=Scale(white=4095))
    tifffile.imwrite(tmp_path / "f.tif", unit(GREY8))
    with pytest.raises(InputError, match="floating-point values, and a white of 9 is for 8- and 16-bit") as caught:
        read_image(tmp_path / "f.tif", scale=Scale(white=9))
    assert "--scale 0,9" in caught.value.hint
    image = read_image(save(tmp_path / "a.png", GREY8), scale=Scale(white=100))
    assert image.notes == (f"samples up to {GREY8.max()} are brighter than white, 100",)
    assert image.pixels.max() == np.float32(GREY8.max() / 100)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.int32, np.uint32])
def test_other_integers_are_values(tmp_path: Path, dtype: Any) -> None:
    """Hounsfield units are often stored as signed integers: they need a scale, like those of floating point."""
    values = np.clip(GREY16.astype(np.int64) // 16 - 1024, np.iinfo(dtype).min, np.iinfo(dtype).max).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", values, photometric="minisblack")
    with pytest.raises(
        InputError, match=r"a\.tif' holds (8|16|32)-bit (signed )?integers from .*, outside 0 to 1"
    ) as caught:
        read_image(tmp_path / "a.tif")
    assert "--scale LOW,HIGH" in caught.value.hint
    image = read_image(tmp_path / "a.tif", scale=HU)
    assert (image.bits, image.scale) == (32, HU)
    np.testing.assert_allclose(image.pixels, (values + 1024.0) / 4096, atol=1e-6)
    tifffile.imwrite(tmp_path / "b.tif", (GREY8 > 99).astype(dtype), photometric="minisblack")
    assert np.array_equal(read_image(tmp_path / "b.tif").pixels, GREY8 > 99)  # a mask


def chunks_before_data(path: Path, *chunks: bytes) -> None:
    data = path.read_bytes()
    path.write_bytes(data[: png.HEADER_BYTES] + b"".join(chunks) + data[png.HEADER_BYTES :])


@pytest.mark.parametrize("samples", [GREY8, RGB16], ids=["grey8", "rgb16"])
def test_gamma_is_noted(tmp_path: Path, samples: NDArray[Any]) -> None:
    path = tmp_path / "a.png"
    for gamma, expected in (
        (45455, ()),
        (100_000, ("its gamma of 1 is not applied: the samples are taken as they are",)),
    ):
        write_image(path, unit(samples), samples.itemsize * 8)
        chunks_before_data(path, png.chunk(b"gAMA", struct.pack(">I", gamma)))
        assert read_image(path).notes == expected
        assert np.array_equal(read_image(path).pixels, unit(samples))
    chunks_before_data(path, png.chunk(b"sRGB", b"\0"))  # says more than the gamma
    assert read_image(path).notes == ()


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "16.tif", "16.png"])
def test_colour_profiles_are_noted(tmp_path: Path, name: str) -> None:
    lab, srgb = (ImageCms.ImageCmsProfile(ImageCms.createProfile(space)).tobytes() for space in ("LAB", "sRGB"))
    for profile, notes in ((lab, 1), (srgb, 0), (b"no profile", 1)):
        if name == "16.tif":
            tag = (34675, "B", len(profile), profile, True)
            tifffile.imwrite(tmp_path / name, RGB16, photometric="rgb", extratags=[tag])
        elif name == "16.png":
            write_image(tmp_path / name, unit(RGB16), 16)
            chunks_before_data(tmp_path / name, png.chunk(b"iCCP", b"a name\0\0" + zlib.compress(profile)))
        else:
            save(tmp_path / name, RGB8, icc_profile=profile)
        found = read_image(tmp_path / name).notes
        assert len(found) == notes and all("ICC profile (" in note for note in found)


def test_a_preview_beside_a_jpeg(tmp_path: Path) -> None:
    preview = Pillow.fromarray(SMOOTH[::2, ::2])
    save(tmp_path / "a.jpg", SMOOTH, format="MPO", save_all=True, append_images=[preview])
    image = read_image(tmp_path / "a.jpg")
    assert image.pixels.shape == SMOOTH.shape
    assert len(image.notes) == 1


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_float_tiff(tmp_path: Path, dtype: type) -> None:
    samples = RNG.random((6, 5, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tif", samples, photometric="rgb")
    image = read_image(tmp_path / "a.tif")
    assert np.array_equal(image.pixels, samples.astype(np.float32))
    assert (image.bits, image.notes) == (32, ("floating-point values taken as they are",))


# Refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("value", "words"),
    [(np.nan, r"not finite, first at index \(2, 1\)"), (np.inf, r"\(2, 1\)"), (1.5, "to 1.5"), (-0.25, "-0.25")],
)
def test_bad_floats(tmp_path: Path, value: float, words: str) -> None:
    samples = np.full((4, 4), 0.5, np.float32)
    samples[2, 1] = value
    tifffile.imwrite(tmp_path / "a.tif", samples)
    with pytest.raises(InputError, match=words):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.tif", "a.gif", "a.png"])
def test_several_pages(tmp_path: Path, name: str) -> None:
    pages = [Pillow.fromarray(GREY8 + np.uint8(80 * i)) for i in range(3)]
    pages[0].save(tmp_path / name, save_all=True, append_images=pages[1:])
    with pytest.raises(InputError, match="holds 3 pages or frames"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("metadata", [None, {}])
def test_a_tiff_stack(tmp_path: Path, metadata: Any) -> None:
    tifffile.imwrite(tmp_path / "a.tif", np.stack([GREY16] * 3), photometric="minisblack", metadata=metadata)
    with pytest.raises(InputError, match="holds 3 pages or frames"):
        read_image(tmp_path / "a.tif")


@pytest.mark.parametrize("name", ["a.jpg", "a.tif"])
def test_cmyk(tmp_path: Path, name: str) -> None:
    Pillow.fromarray(RGB8).convert("CMYK").save(tmp_path / name)
    with pytest.raises(InputError, match="stored as CMYK"):
        read_image(tmp_path / name)


def test_other_sample_types(tmp_path: Path) -> None:
    for dtype in (np.int64, np.uint64, np.complex64):
        tifffile.imwrite(tmp_path / "a.tif", GREY8.astype(dtype))
        with pytest.raises(InputError, match="samples of type"):
            read_image(tmp_path / "a.tif")
    tifffile.imwrite(
        tmp_path / "a.tif", RNG.integers(0, 9, (6, 7, 5), np.uint16), photometric="minisblack", planarconfig="contig"
    )
    with pytest.raises(InputError, match="5 channels"):
        read_image(tmp_path / "a.tif")


def test_a_16_bit_tiff_with_a_compression_out_of_reach(tmp_path: Path) -> None:
    Pillow.fromarray(GREY16).save(tmp_path / "a.tif", compression="tiff_lzw")
    with pytest.raises(InputError, match="compressed with LZW") as caught:
        read_image(tmp_path / "a.tif")
    assert "deflate" in caught.value.hint


def test_what_libtiff_prints_is_damage(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path / "a.tif", RNG.random((64, 64)) < 0.5, compression="group4")
    assert read_image(path).pixels.shape == (64, 64)
    data = bytearray(path.read_bytes())
    data[100] ^= 8
    path.write_bytes(data)
    with pytest.raises(InputError, match="truncated or damaged TIFF: Fax4Decode: "):
        read_image(path)
    assert capfd.readouterr().err == ""


def test_not_pictures(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(b"")
    with pytest.raises(InputError, match=r"is not a readable image \(the file is empty\)"):
        read_image(path)
    path.write_text("just words")
    with pytest.raises(InputError, match="is not a readable image"):
        read_image(path)
    with pytest.raises(InputError, match="is a folder"):
        read_image(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        read_image(tmp_path / "b.png")
    with pytest.raises(InputError, match="does not exist"):
        read_image(path / "b.png")
    with pytest.raises(InputError, match="File name too long"):
        read_image(tmp_path / ("x" * 300))
    with pytest.raises(InputError, match="not a regular file"):
        read_image("/dev/null")


def test_odd_names_are_escaped(tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        read_image(tmp_path / "a\n\x1b[31m\udcff.png")
    assert "\n" not in caught.value.message
    assert "\x1b" not in caught.value.message
    caught.value.message.encode()


def test_no_permission(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "a.png", GREY8)

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(InputError, match="cannot be read: Permission denied"):
        read_image(path)


def test_bombs_are_refused_from_the_header(tmp_path: Path) -> None:
    header = png.encode16(GREY16)[:8]
    ihdr = b"IHDR" + struct.pack(">IIBBBBB", 20000, 20000, 8, 0, 0, 0, 0)
    path = tmp_path / "a.png"
    path.write_bytes(header + b"\0\0\0\x0d" + ihdr + struct.pack(">I", zlib.crc32(ihdr)))
    with pytest.raises(InputError, match="20000 x 20000 pixels, more than the limit of 64000000"):
        read_image(path)
    Pillow.new("1", (20000, 20000)).save(tmp_path / "a.tif", compression="group4")
    Pillow.new("L", (9000, 9000)).save(tmp_path / "a.jpg")
    Pillow.new("1", (20000, 20000)).save(tmp_path / "a.gif")
    for name in ("a.tif", "a.jpg", "a.gif"):
        with pytest.raises(InputError, match="more than the limit of 64000000"):
            read_image(tmp_path / name)
    write_image(tmp_path / "b.png", unit(GREY8))
    assert read_image(tmp_path / "b.png", max_pixels=130).pixels.size == 130
    with pytest.raises(InputError, match="limit of 129"):
        read_image(tmp_path / "b.png", max_pixels=129)


def variants() -> dict[str, bytes]:
    def of(samples: NDArray[Any], kind: str, **options: Any) -> bytes:
        Pillow.fromarray(samples).save(buffer := BytesIO(), kind, **options)
        return buffer.getvalue()

    def tiff(samples: NDArray[Any], **options: Any) -> bytes:
        tifffile.imwrite(buffer := BytesIO(), samples, **options)
        return buffer.getvalue()

    rough = RNG.integers(0, 256, (64, 64, 3), np.uint8)
    return {
        "png": of(rough, "PNG"),
        "png16": png.encode16(rough.astype(np.uint16) * 257),
        "jpeg": of(rough, "JPEG"),
        "progressive": of(rough, "JPEG", progressive=True),
        "bmp": of(rough, "BMP"),
        "gif": of(rough[..., 0], "GIF"),
        "lzw": of(rough, "TIFF", compression="tiff_lzw"),
        "jpeg-tiff": of(rough, "TIFF", compression="jpeg"),
        "strips": tiff(rough.astype(np.uint16), photometric="rgb", rowsperstrip=8),
        "zlib": tiff(rough.astype(np.uint16), photometric="rgb", compression="zlib"),
        "float": tiff(rough[..., 0] / 255.0),
    }


VARIANTS = variants()


@pytest.mark.parametrize("kind", sorted(VARIANTS))
def test_truncation_at_every_sixteenth(tmp_path: Path, kind: str) -> None:
    data, path = VARIANTS[kind], tmp_path / "a"
    path.write_bytes(data)
    read_image(path)
    for part in range(16):
        path.write_bytes(data[: len(data) * part // 16])
        with pytest.raises(InputError, match="is not a readable image"):
            read_image(path)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(VARIANTS)), st.data())
def test_damage_gives_a_picture_or_one_clear_line(
    tmp_path_factory: pytest.TempPathFactory, kind: str, data: st.DataObject
) -> None:
    content = bytearray(VARIANTS[kind])
    for _ in range(data.draw(st.integers(1, 4))):
        # half of the hits land in the first bytes, where the structure is
        place = data.draw(st.one_of(st.integers(4, 200), st.integers(4, len(content) - 1)))
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path = tmp_path_factory.getbasetemp() / f"damaged-{kind}"
    path.write_bytes(content)
    try:
        pixels = read_image(path, max_pixels=1_000_000).pixels
    except InputError as error:
        assert "\n" not in error.message
    else:
        assert "png" not in kind or content == VARIANTS[kind]  # checksums catch it
        assert np.isfinite(pixels).all()


# Writing ----------------------------------------------------------------------------------------------------------


def test_writing_rounds_and_clips(tmp_path: Path) -> None:
    pixels = np.array([[-1.0, 0.0, 1.4 / 255, 1.6 / 255], [2.0, 1.0, 253.6 / 255, 0.5]])
    write_image(tmp_path / "a.png", pixels)
    with Pillow.open(tmp_path / "a.png") as picture:
        assert np.asarray(picture).tolist() == [[0, 0, 1, 2], [255, 255, 254, 128]]


def test_writing_is_reproducible(tmp_path: Path) -> None:
    for name in ("a.png", "a.tif", "a.jpg"):
        write_image(tmp_path / name, unit(RGB8))
        first = (tmp_path / name).read_bytes()
        write_image(tmp_path / name, unit(RGB8))
        assert (tmp_path / name).read_bytes() == first


def test_writing_refusals(tmp_path: Path) -> None:
    grey = unit(GREY8)
    with pytest.raises(InputError, match="unknown image suffix"):
        write_image(tmp_path / "a.webp", grey)
    with pytest.raises(InputError, match="16 bits"):
        write_image(tmp_path / "a.jpg", grey, bits=16)
    with pytest.raises(NumericalError, match="not finite"):
        write_image(tmp_path / "a.png", grey * np.nan)
    with pytest.raises(ValueError, match="shape"):
        write_image(tmp_path / "a.png", np.zeros((2, 2, 4)))
    (tmp_path / "file").touch()
    for name in ("a.png", "a.tif", "a.jpg"):
        with pytest.raises(ResourceError, match="file"):
            write_image(tmp_path / "file" / name, grey)
    assert os.listdir(tmp_path) == ["file"]


def test_luminance() -> None:
    rgb = RNG.random((2, 4, 5, 3))
    assert np.allclose(luminance(rgb), rgb @ [0.299, 0.587, 0.114], atol=1e-15)
    assert luminance(rgb.astype(np.float32)).dtype == np.float32
    grey = luminance(np.full((1, 1, 3), 0.1))  # unrounded
    assert abs(float(grey[0, 0]) - 0.1) < 1e-15


# Finding ----------------------------------------------------------------------------------------------------------


def test_find_images(tmp_path: Path) -> None:
    for name in ("b.png", "a.JPG", "c.txt", ".hidden.png", "sub/d.png", "[1].png", "1.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.png").mkdir()

    def names(*given: str | Path, **options: Any) -> list[str]:
        return [f.relative_to(tmp_path).as_posix() for f in find_images([tmp_path / g for g in given], **options)]

    assert names("") == ["1.png", "[1].png", "a.JPG", "b.png"]
    assert names("", suffixes={".txt"}) == ["c.txt"]
    assert names("c.txt", "b.png") == ["c.txt", "b.png"]
    assert names("*.png") == ["1.png", "[1].png", "b.png"]
    assert names("[1].png") == ["[1].png"]  # the literal name wins over the pattern
    assert names("b.png", "", "sub/../b.png", "*/d.png") == ["b.png", "1.png", "[1].png", "a.JPG", "sub/d.png"]
    with pytest.raises(InputError) as caught:
        names("no.png", "b.png", "*.bmp")
    assert "no.png' does not exist; " in caught.value.message
    assert "*.bmp' matches no file" in caught.value.message
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no such file"):
        names("empty")
    with pytest.raises(InputError, match="File name too long"):
        names("x" * 300)
