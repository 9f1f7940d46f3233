"""PNG: checksums verified; more than 8 bits in colour by the codec of idm's own."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from io import BytesIO
from typing import BinaryIO

import imageio.v3 as iio
import numpy as np
from PIL.Image import Exif

from idmcli.io import png
from idmcli.io.formats.base import (
    Picture,
    PictureFormat,
    Raw,
    RefusedError,
    check_size,
    choose_page,
    note_opacity,
    orientation_of,
    profile_notes,
    squeezed,
    without_alpha,
)
from idmcli.io.formats.plain import decode_page

_ORIENTATION = 0x0112
_MAX_PROFILE = 2**24  # bytes
_GREY, _RGB = 0, 2  # colour types
_SRGB_GAMMA = 1 / 2.2  # of samples over light, as pictures without a word of it have


def _gamma_notes(chunks: Mapping[bytes, bytes]) -> list[str]:
    """The note on a gAMA chunk of another gamma than usual, unless a profile or sRGB stands above it (13.13)."""
    gamma = int.from_bytes(chunks.get(b"gAMA", b"")[:4], "big") / 100_000
    if not gamma or abs(gamma - _SRGB_GAMMA) < 0.02 or b"iCCP" in chunks or b"sRGB" in chunks:
        return []
    return [f"its gamma of {1 / gamma:.3g} is not applied: the samples are taken as they are"]


def _inflated(compressed: bytes) -> bytes:
    """A compressed profile; empty where it is damaged or too long."""
    try:
        return zlib.decompressobj().decompress(compressed, _MAX_PROFILE)
    except zlib.error:
        return b""


class Png(PictureFormat):
    """PNG with one picture; an animation is refused."""

    name = "PNG"
    suffixes = (".png",)
    signatures = (png.SIGNATURE,)
    bits = (8, 16)

    def decode(self, file: BinaryIO, number: int | None, max_pixels: int) -> Raw:
        """See :class:`PictureFormat`."""
        header = png.read_header(file.read(png.HEADER_BYTES))
        check_size(header.width, header.height, max_pixels)
        file.seek(0)
        data = file.read()
        chunks = png.read_chunks(data)  # Pillow checks neither all checksums nor the end of the file
        frames = int.from_bytes(chunks.get(b"acTL", b"\0\0\0\1")[:4], "big")
        if frames != 1:
            raise RefusedError(
                f"holds {frames} pages or frames where one picture is expected", "save each frame as its own file"
            )
        choose_page(number, 1)
        if header.depth == 16 and header.colour != _GREY:
            samples = png.decode16(header, chunks[b"IDAT"])
            exif = Exif()
            exif.load(chunks.get(b"eXIf", b""))
            name, _, profile = chunks.get(b"iCCP", b"").partition(b"\0")
            notes = profile_notes(_inflated(profile[1:])) if name else []
            raw = Raw(samples, orientation_of(exif.get(_ORIENTATION, 1)), notes)
            if samples.shape[2] in (2, 4):
                raw = raw._replace(samples=without_alpha(samples, raw.notes))
        else:
            raw = decode_page(BytesIO(data), None, max_pixels)
        if header.colour in (_GREY, _RGB) and b"tRNS" in chunks:  # a colour that stands for transparent
            step = 255 // (2**header.depth - 1) if header.depth < 8 else 1
            key = np.frombuffer(chunks[b"tRNS"], ">u2") * step
            opaque = (raw.samples.reshape(header.height, header.width, -1) != key).any(axis=2)
            if not note_opacity(opaque, raw.notes):
                white = np.iinfo(raw.samples.dtype).max
                shown = opaque.reshape(opaque.shape + (1,) * (raw.samples.ndim - 2))
                raw = raw._replace(samples=np.where(shown, raw.samples, white).astype(raw.samples.dtype))
        if header.colour == _GREY and header.depth in (2, 4):
            raw.notes.append(f"{header.depth}-bit grey expanded to 8 bits")
        raw.notes.extend(_gamma_notes(chunks))
        return raw._replace(samples=squeezed(raw.samples))

    def comment(self, file: BinaryIO) -> str:
        """The text of the first tEXt chunk, if its keyword is "idm"."""
        keyword, _, text = png.read_chunks(file.read()).get(b"tEXt", b"").partition(b"\0")
        return text.decode("latin-1") if keyword == b"idm" else ""

    def encode(self, picture: Picture) -> bytes:
        """The comment as a tEXt chunk with the keyword "idm", ahead of any other."""
        samples = picture.samples
        if samples.dtype == np.uint16:
            data = png.encode16(samples)
        else:
            data = bytes(iio.imwrite("<bytes>", samples, plugin="pillow", extension=".png"))
        text = png.chunk(b"tEXt", b"idm\0" + picture.comment.encode("ascii")) if picture.comment else b""
        return data[: png.HEADER_BYTES] + text + data[png.HEADER_BYTES :]
