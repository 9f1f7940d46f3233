"""From the bytes of a picture file to its samples, and the reasons to refuse one."""

from __future__ import annotations

import logging
import warnings
from io import BytesIO
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow
from PIL import UnidentifiedImageError

from idmcli.errors import InputError
from idmcli.io import png

# Its remarks on odd files would otherwise reach the user's terminal through logging's last resort.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ORIENTATION = 0x0112  # the EXIF and TIFF tag
_INVERTED = "inverted, since it stores white as zero"
_SIGNATURES = {
    png.SIGNATURE: "PNG",
    b"\xff\xd8\xff": "JPEG",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
    b"GIF8": "GIF",
    b"BM": "BMP",
}


class _Raw(NamedTuple):
    """Samples as stored, (H, W) or (H, W, 3), uint8, uint16 or float; the EXIF orientation to undo; notes."""

    samples: NDArray[Any]
    orientation: int
    notes: list[str]


class _RefusedError(Exception):
    """Why a sound file is refused; ``decode`` adds its name."""

    def __init__(self, reason: str, hint: str) -> None:
        super().__init__(reason)
        self.hint = hint


def decode(path: Path, max_pixels: int) -> tuple[NDArray[Any], tuple[str, ...]]:
    """The upright samples of a file, (H, W) or (H, W, 3), uint8, uint16 or float, and the notes; or why not.

    Raises:
        InputError: as :func:`idmcli.io.images.read_image`.
        OSError: with an ``errno``, when the system does not let the file be read.
    """
    name = repr(str(path))
    if path.is_dir():
        raise InputError(f"{name} is a folder, not an image")
    if not path.exists():
        raise InputError(f"{name} does not exist")
    if not path.is_file():
        raise InputError(f"{name} is not a regular file")
    with path.open("rb") as file:
        head = file.read(png.HEADER_BYTES)
        kind = next((kind for signature, kind in _SIGNATURES.items() if head.startswith(signature)), None)
        if kind is None:
            reason = "does not begin like a PNG, JPEG, TIFF, BMP or GIF file" if head else "the file is empty"
            raise InputError(f"{name} is not a readable image ({reason})")
        file.seek(0)
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the libraries' warnings are errors or notes here
                raw = {"PNG": _decode_png, "TIFF": _decode_tiff}.get(kind, _decode_other)(file, max_pixels)
        except _RefusedError as refusal:
            raise InputError(f"{name} {refusal}", refusal.hint) from None
        except MemoryError:
            raise
        except Exception as error:  # decoders fed with damaged bytes raise nearly anything
            if isinstance(error, OSError) and error.errno is not None:
                raise
            reason = "" if isinstance(error, UnidentifiedImageError) else f": {error}".splitlines()[0]
            raise InputError(f"{name} is not a readable image (truncated or damaged {kind}{reason})") from error
    if raw.orientation != 1:
        raw.notes.append(_turned(raw.orientation))
    return _upright(raw.samples, raw.orientation), tuple(raw.notes)


def _upright(samples: NDArray[Any], orientation: int) -> NDArray[Any]:
    """Undo an EXIF orientation (1 to 8)."""
    if orientation in (5, 6, 7, 8):
        samples = samples.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        samples = samples[:, ::-1]
    if orientation in (3, 4, 7, 8):
        samples = samples[::-1]
    return samples


def _decode_png(file: IO[bytes], max_pixels: int) -> _Raw:
    header = png.read_header(file.read(png.HEADER_BYTES))
    _check_size(header.width, header.height, max_pixels)
    file.seek(0)
    data = file.read()
    chunks = png.read_chunks(data)  # Pillow checks neither all checksums nor the end of the file
    _check_pages(int.from_bytes(chunks.get(b"acTL", b"\0\0\0\1")[:4], "big"))
    if header.depth == 16:
        samples = png.decode16(header, chunks[b"IDAT"])
        exif = Pillow.Exif()
        exif.load(chunks.get(b"eXIf", b""))
        raw = _Raw(samples, _orientation(exif), [])
        if samples.shape[2] in (2, 4):
            raw = raw._replace(samples=_without_alpha(samples, raw.notes))
    else:
        raw = _decode_other(BytesIO(data), max_pixels)
    if header.colour in (0, 2) and b"tRNS" in chunks:  # a colour that stands for transparent
        step = 255 // (2**header.depth - 1) if header.depth < 8 else 1
        key = np.frombuffer(chunks[b"tRNS"], ">u2") * step
        pixels = raw.samples.reshape(header.height, header.width, -1)
        _check_opaque(not (pixels == key).all(axis=2).any(), raw.notes)
    if header.colour == 0 and header.depth in (2, 4):
        raw.notes.append(f"{header.depth}-bit grey expanded to 8 bits")
    return raw._replace(samples=_squeezed(raw.samples))


def _decode_other(file: IO[bytes], max_pixels: int) -> _Raw:
    """PNG with at most 8 bits, JPEG, BMP, GIF, and TIFF that Pillow knows, through Pillow."""
    notes: list[str] = []
    try:
        stored = Pillow.open(file, formats=("PNG", "JPEG", "TIFF", "BMP", "GIF"))
    except Pillow.DecompressionBombError:
        raise _too_large("far too many", max_pixels) from None
    _check_size(*stored.size, max_pixels)
    if stored.format == "MPO":
        notes.append("first picture of a JPEG with a preview or depth map beside it")
    else:
        _check_pages(getattr(stored, "n_frames", 1))
    tag = _orientation(stored.getexif())
    stored.load()
    orientation = _orientation(stored.getexif())
    if tag != orientation:  # Pillow turns TIFF, and only TIFF, while loading
        notes.append(_turned(tag))

    picture: Pillow.Image = stored
    if picture.mode == "1":
        notes.append("1-bit picture expanded to 8 bits")
    if picture.mode in ("P", "PA"):
        notes.append("palette expanded")
        picture = picture.convert("RGBA" if picture.has_transparency_data else "RGB")
        red, green, blue = (np.asarray(picture.getchannel(band)) for band in "RGB")
        if picture.mode == "RGB" and np.array_equal(red, green) and np.array_equal(red, blue):
            return _Raw(red, orientation, notes)
    elif stored.format == "GIF" and "transparency" in picture.info:  # of PNG, its own reader sees to it
        picture = picture.convert("LA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    samples = np.asarray(picture)
    if picture.mode in ("LA", "RGBA"):
        samples = _squeezed(_without_alpha(samples, notes))
    elif picture.mode not in ("L", "RGB"):
        raise _wrong_colours(picture.mode)
    return _Raw(samples, orientation, notes)


def _decode_tiff(file: IO[bytes], max_pixels: int) -> _Raw:
    import tifffile

    with tifffile.TiffFile(file) as tiff:
        page = tiff.pages.first
        _check_size(page.imagewidth, page.imagelength, max_pixels)
        _check_pages(max(len(tiff.pages), sum(series.size for series in tiff.series) // page.size))
        size = file.seek(0, 2)
        pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
        if not pieces or any(count == 0 or offset + count > size for offset, count in pieces):
            raise ValueError("image data missing")
        bits, kind = page.bitspersample, page.dtype.kind if page.dtype is not None else "?"
        if page.photometric not in (0, 1, 2, 3, 6):  # white or black is zero, RGB, palette, YCbCr
            raise _wrong_colours("CMYK" if page.photometric == 5 else getattr(page.photometric, "name", "unknown"))
        if kind in "bu" and bits <= 8:
            file.seek(0)
            raw = _decode_other(file, max_pixels)
            if 1 < bits < 8:
                raw.notes.append(f"{bits}-bit samples expanded to 8 bits")
            if page.photometric == 0:
                raw.notes.append(_INVERTED)
            return raw
        if not (kind == "u" and bits == 16) and kind != "f":
            raise _RefusedError(f"has {bits}-bit samples of type {page.dtype}", "save it with 8 or 16 bits per sample")
        if page.photometric in (3, 6):
            raise _wrong_colours("a 16-bit palette" if page.photometric == 3 else "YCbCr")
        try:
            samples = np.asarray(page.asarray())
        except ValueError as error:
            if "imagecodecs" not in str(error):
                raise
            raise _RefusedError(
                f"is a {bits}-bit TIFF compressed with {tifffile.COMPRESSION(page.compression).name}, unreadable here",
                "save it uncompressed or with deflate",
            ) from None
        orientation = _orientation(page.tags)

    notes: list[str] = []
    samples = samples.reshape(page.shape)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    if page.extrasamples and samples.ndim == 3 and samples.shape[2] in (2, 4):
        samples = _without_alpha(samples, notes)
    samples = _squeezed(samples)
    if samples.ndim != 2 and samples.shape[2:] != (3,):
        raise _wrong_colours(f"{samples.shape[-1]} channels")
    if kind == "f":
        notes.append("floating-point values taken as they are")
    if page.photometric == 0:
        samples = (1 if kind == "f" else 65535) - samples
        notes.append(_INVERTED)
    return _Raw(samples, orientation, notes)


def _orientation(tags: Any) -> int:
    """Tag 274 of Pillow's EXIF mapping or tifffile's tags; anything but 1 to 8 means upright."""
    value = tags.get(_ORIENTATION, 1)
    value = getattr(value, "value", value)
    return int(value) if value in range(1, 9) else 1


def _turned(orientation: int) -> str:
    return f"turned upright as its orientation tag {orientation} asks"


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width < 1 or height < 1:
        raise ValueError("no pixels")
    if width * height > max_pixels:
        raise _too_large(f"{width} x {height}", max_pixels)


def _too_large(size: str, max_pixels: int) -> _RefusedError:
    return _RefusedError(f"has {size} pixels, more than the limit of {max_pixels}", "crop it or scale it down first")


def _check_pages(count: int) -> None:
    if count != 1:
        raise _RefusedError(
            f"holds {count} pages or frames where one picture is expected", "save each page as its own file"
        )


def _without_alpha(samples: NDArray[Any], notes: list[str]) -> NDArray[Any]:
    """Drop the last channel if it is opaque everywhere."""
    opaque = 1.0 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    _check_opaque(bool((samples[..., -1] == opaque).all()), notes)
    return samples[..., :-1]


def _squeezed(samples: NDArray[Any]) -> NDArray[Any]:
    """(H, W, 1) as (H, W)."""
    return samples[..., 0] if samples.shape[2:] == (1,) else samples


def _check_opaque(opaque: bool, notes: list[str]) -> None:
    if not opaque:
        raise _RefusedError("has transparent pixels (an alpha channel)", "remove the alpha channel")
    notes.append("fully opaque alpha channel dropped")


def _wrong_colours(found: str) -> _RefusedError:
    return _RefusedError(f"is stored as {found}, not as grey or RGB", "convert it to grey or RGB")
