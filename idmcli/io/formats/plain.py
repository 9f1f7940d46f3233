"""JPEG, BMP and GIF, and all that Pillow decodes faithfully, through imageio."""

from __future__ import annotations

import logging
from typing import Any, BinaryIO

import imageio.v3 as iio
import numpy as np
from PIL import Image as Pillow

from idmcli.io.formats.base import (
    OPAQUE,
    Picture,
    PictureFormat,
    Raw,
    check_size,
    choose_page,
    orientation_of,
    profile_notes,
    squeezed,
    too_large,
    turned,
    without_alpha,
    wrong_colours,
)

# Its remarks on odd files would otherwise reach the user's terminal through logging's last resort.
logging.getLogger("PIL").addHandler(logging.NullHandler())


class Jpeg(PictureFormat):
    """JPEG; of several pictures in one file, the first: the others are its previews or depth maps."""

    name = "JPEG"
    suffixes = (".jpg", ".jpeg")
    signatures = (b"\xff\xd8\xff",)
    bits = (8,)

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`."""
        choose_page(number, 1)
        with _open(file, max_pixels) as reader:
            raw, count = _decode(reader, 0, max_pixels, gif=False), _count(reader)
        if count != 1:
            raw.notes.append("first picture of a JPEG with a preview or depth map beside it")
        return raw

    def comment(self, file: BinaryIO) -> str:
        """The comment segment."""
        with iio.imopen(file, "r", plugin="pillow") as reader:
            comment = reader.metadata(index=0, exclude_applied=False).get("comment", b"")
        return comment.decode("latin-1") if isinstance(comment, bytes) else str(comment)

    def encode(self, picture: Picture) -> bytes:
        """Quality 95, colours at full resolution."""
        options: dict[str, Any] = {"comment": picture.comment.encode("ascii")} if picture.comment else {}
        return bytes(
            iio.imwrite(
                "<bytes>", picture.samples, plugin="pillow", extension=".jpg", quality=95, subsampling=0, **options
            )
        )


class Bmp(PictureFormat):
    """BMP, read only."""

    name = "BMP"
    suffixes = (".bmp",)
    signatures = (b"BM",)

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`."""
        return decode_page(file, number, max_pixels)


class Gif(PictureFormat):
    """GIF, read only; a frame is the whole picture seen at that time."""

    name = "GIF"
    suffixes = (".gif",)
    signatures = (b"GIF8",)

    def count(self, file: BinaryIO) -> int:
        """The number of frames."""
        with iio.imopen(file, "r", plugin="pillow") as reader:
            return _count(reader)

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`."""
        return decode_page(file, number, max_pixels, gif=True)


def decode_page(file: BinaryIO, number: int | None, max_pixels: int, *, gif: bool = False) -> Raw:
    """One picture with at most 8 bits per sample, or 16-bit grey; see :meth:`PictureFormat.decode`."""
    file.seek(0)
    with _open(file, max_pixels) as reader:
        return _decode(reader, choose_page(number, _count(reader)), max_pixels, gif)


def _open(file: BinaryIO, max_pixels: int) -> Any:
    try:
        reader = iio.imopen(file, "r", plugin="pillow")
    except OSError as error:
        if isinstance(error.__cause__, Pillow.DecompressionBombError):
            raise too_large("far too many", max_pixels) from None
        raise
    width, height = reader.metadata(index=0)["shape"]
    check_size(width, height, max_pixels)
    return reader


def _count(reader: Any) -> int:
    return int(reader.properties(index=...).n_images)


def _decode(reader: Any, page: int, max_pixels: int, gif: bool) -> Raw:
    notes: list[str] = []
    before = reader.metadata(index=page, exclude_applied=False)
    width, height = before["shape"]
    check_size(width, height, max_pixels)
    mode, composed = before["mode"], gif and page > 0  # a frame of a GIF is laid over those before it
    palette, keyed = composed or mode in ("P", "PA"), "transparency" in before and not composed
    if composed:
        target = "RGBA"
    elif palette:
        target = "RGBA" if keyed or mode == "PA" else "RGB"
    else:
        target = {"1": "L", "L": "LA" if gif and keyed else "L"}.get(mode, mode)
    samples = np.asarray(reader.read(index=page, mode=None if target == mode else target, writeable_output=False))
    after = reader.metadata(index=page, exclude_applied=False)
    tag, left = (orientation_of(found.get("Orientation", 1)) for found in (before, after))
    if tag != left:  # Pillow turns TIFF, and only TIFF, while loading
        notes.append(turned(tag))
    if mode == "1":
        notes.append("1-bit picture expanded to 8 bits")
    if palette:
        notes.append("palette expanded")
    notes += profile_notes(before.get("icc_profile") or b"")
    if target in ("LA", "RGBA"):
        remarks: list[str] = []
        samples = squeezed(without_alpha(samples, remarks))
        notes += [remark for remark in remarks if not (composed and remark == OPAQUE)]
    elif target not in ("L", "RGB", "I;16"):
        raise wrong_colours(target)
    if palette and not keyed and (samples == samples[..., :1]).all():
        samples = samples[..., 0]
    return Raw(samples, left, notes)
