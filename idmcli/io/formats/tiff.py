"""TIFF: up to 8 bits as Pillow reads it, deeper and signed integers and floating point as tifffile does."""

from __future__ import annotations

import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, BinaryIO

import imageio.v3 as iio
import numpy as np
import tifffile

from idmcli.io.formats.base import (
    Picture,
    PictureFormat,
    Raw,
    RefusedError,
    check_size,
    choose_page,
    orientation_of,
    profile_notes,
    squeezed,
    without_alpha,
    wrong_colours,
)
from idmcli.io.formats.plain import decode_page

# As in plain.py.
logging.getLogger("tifffile").addHandler(logging.NullHandler())

_ORIENTATION = 0x0112
_COMPLAINT = re.compile(rb"[\w. ]+: [\x20-\x7e]*\.\n")  # a line of libtiff's
_INVERTED = "inverted, since it stores white as zero"  # by Pillow
_PROFILE = 34675
_PREMULTIPLIED, _UNASSOCIATED = 1, 2  # kinds of extra samples
_INTEGERS = {("u", 16), ("u", 32), ("i", 8), ("i", 16), ("i", 32)}  # beside at most 8 bits


class Tiff(PictureFormat):
    """TIFF and BigTIFF; a page is an item."""

    name = "TIFF"
    suffixes = (".tif", ".tiff")
    signatures = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
    bits = (8, 16, 32)

    def count(self, file: BinaryIO) -> int:
        """The number of pages, including a stack behind one header."""
        with tifffile.TiffFile(file) as tiff:
            return _count(tiff)

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`."""
        with tifffile.TiffFile(file) as tiff:
            _check_page(tiff.pages.first, max_pixels)
            index = choose_page(number, _count(tiff))
            if index >= len(tiff.pages):
                raise RefusedError("lies behind the header of the first page", "save each page as its own file")
            page: Any = tiff.pages[index]
            _check_page(page, max_pixels)
            size = file.seek(0, 2)
            pieces = list(zip(page.dataoffsets, page.databytecounts, strict=True))
            if not pieces or any(count == 0 or offset + count > size for offset, count in pieces):
                raise ValueError("image data missing")
            bits, kind = int(page.bitspersample), page.dtype.kind if page.dtype is not None else "?"
            if page.photometric not in (0, 1, 2, 3, 6):  # white or black is zero, RGB, palette, YCbCr
                raise wrong_colours("CMYK" if page.photometric == 5 else getattr(page.photometric, "name", "unknown"))
            if kind in "bu" and bits <= 8:
                with _libtiff_heard():
                    raw = decode_page(file, number, max_pixels)
                if 1 < bits < 8:
                    raw.notes.append(f"{bits}-bit samples expanded to 8 bits")
                if page.photometric == 0:
                    raw.notes.append(_INVERTED)
                return raw
            if kind != "f" and (kind, bits) not in _INTEGERS:
                raise RefusedError(
                    f"has {bits}-bit samples of type {page.dtype}", "save it with 8, 16 or 32 bits per sample"
                )
            if page.photometric in (3, 6):
                raise wrong_colours("a 16-bit palette" if page.photometric == 3 else "YCbCr")
            return _decode_deep(page)

    def comment(self, file: BinaryIO) -> str:
        """The image description of the first page."""
        with tifffile.TiffFile(file) as tiff:
            return str(tiff.pages.first.description)

    def encode(self, picture: Picture) -> bytes:
        """Compressed with deflate, the comment as the image description."""
        photometric = "minisblack" if picture.samples.ndim == 2 else "rgb"
        options = {"description": picture.comment} if picture.comment else {}
        return bytes(
            iio.imwrite(
                "<bytes>",
                picture.samples,
                plugin="tifffile",
                extension=".tif",
                photometric=photometric,
                metadata=None,
                compression="zlib",
                **options,
            )
        )


@contextmanager
def _libtiff_heard() -> Iterator[None]:
    """Raise what libtiff, inside Pillow, has to say about damage: it prints that, and goes on where it can.

    Other writers to the standard error are delayed, not lost.
    """
    if sys.__stderr__ is None:  # closed: its number may be that of any other file now
        yield
        return
    kept = os.dup(2)
    try:
        with tempfile.TemporaryFile() as heard:
            os.dup2(heard.fileno(), 2)
            try:
                yield
            finally:
                os.dup2(kept, 2)
                heard.seek(0)
                text = heard.read()
                os.write(2, _COMPLAINT.sub(b"", text))
    finally:
        os.close(kept)
    complaint = _COMPLAINT.search(text)
    if complaint:
        raise ValueError(complaint[0].decode().strip(" .\n"))


def _check_page(page: Any, max_pixels: int) -> None:
    check_size(page.imagewidth, page.imagelength, max_pixels)


def _count(tiff: tifffile.TiffFile) -> int:
    if len(tiff.pages) > 1:
        return len(tiff.pages)
    return max(1, sum(series.size for series in tiff.series) // tiff.pages.first.size)


def _decode_deep(page: Any) -> Raw:
    """A page of more than 8 bits per sample, or of signed or floating-point numbers."""
    notes: list[str] = []
    try:
        samples = np.asarray(page.asarray())
    except ValueError as error:
        if "imagecodecs" not in str(error):
            raise
        name = tifffile.COMPRESSION(page.compression).name
        raise RefusedError(
            f"is a {page.bitspersample}-bit TIFF compressed with {name}, unreadable here",
            "save it uncompressed or with deflate",
        ) from None
    samples = samples.reshape(page.shape)
    if page.axes == "SYX":
        samples = np.moveaxis(samples, 0, -1)
    alpha = page.extrasamples[0] if len(page.extrasamples) == 1 else None
    if alpha in (_PREMULTIPLIED, _UNASSOCIATED) and samples.dtype.kind in "uf" and samples.shape[2:] in ((2,), (4,)):
        samples = without_alpha(samples, notes, premultiplied=alpha == _PREMULTIPLIED)
    samples = squeezed(samples)
    if samples.ndim != 2 and samples.shape[2:] != (3,):
        raise wrong_colours(f"{samples.shape[-1]} channels")
    profile, tag = page.tags.get(_PROFILE), page.tags.get(_ORIENTATION)
    notes += profile_notes(bytes(profile.value)) if profile else []
    return Raw(samples, orientation_of(tag.value if tag else 1), notes, white_is_zero=page.photometric == 0)
