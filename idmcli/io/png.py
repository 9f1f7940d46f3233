"""PNG where common readers fall short: 16 bits per sample in colour, and damage that goes unnoticed.

After the PNG specification, third edition (W3C 2025): chunks (section 5), interlacing (8.1),
filters (9) and their Paeth predictor (9.4).
"""

from __future__ import annotations

import struct
import zlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER_BYTES = 33  # signature and IHDR chunk

_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}  # by colour type: grey, RGB, grey + alpha, RGB + alpha
_ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


class Header(NamedTuple):
    """The fields of IHDR that matter to a reader."""

    width: int
    height: int
    depth: int
    colour: int
    interlaced: bool


def read_header(data: bytes) -> Header:
    """The header, from the first :data:`HEADER_BYTES` bytes of a file.

    Raises:
        ValueError: it is incomplete or damaged.
    """
    if len(data) < HEADER_BYTES or data[8:16] != b"\x00\x00\x00\x0dIHDR":
        raise ValueError("incomplete header")
    if zlib.crc32(data[12:29]) != int.from_bytes(data[29:33], "big"):
        raise ValueError("damaged header")
    width, height, depth, colour, _, _, interlace = struct.unpack(">IIBBBBB", data[16:29])
    return Header(width, height, depth, colour, bool(interlace))


def read_chunks(data: bytes) -> dict[bytes, bytes]:
    """All chunks by name, the pieces of the image data (IDAT) joined.

    Raises:
        ValueError: the file ends early, or a checksum does not match.
    """
    chunks: dict[bytes, list[bytes]] = {}
    position = len(SIGNATURE)
    while b"IEND" not in chunks:
        length = int.from_bytes(data[position : position + 4], "big")
        body, end = position + 8, position + 12 + length
        if end > len(data):
            raise ValueError("truncated")
        if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise ValueError("damaged: a checksum does not match")
        chunks.setdefault(data[position + 4 : body], []).append(data[body : end - 4])
        position = end
    return {name: b"".join(parts) if name == b"IDAT" else parts[0] for name, parts in chunks.items()}


def decode16(header: Header, compressed: bytes) -> NDArray[np.uint16]:
    """The samples, shape (H, W, channels), of a picture with 16 bits per sample.

    Raises:
        ValueError: the compressed data do not hold the picture the header announces.
    """
    width, height, channels = header.width, header.height, _CHANNELS[header.colour]
    passes = _ADAM7 if header.interlaced else ((0, 0, 1, 1),)
    shapes = [(-(-(height - y) // dy), -(-(width - x) // dx)) for x, y, dx, dy in passes]
    shapes = [(rows, columns) if rows > 0 and columns > 0 else (0, 0) for rows, columns in shapes]
    expected = sum(rows * (1 + 2 * channels * columns) for rows, columns in shapes)
    inflater = zlib.decompressobj()
    raw = inflater.decompress(compressed, expected + 1)
    if len(raw) != expected or not inflater.eof:
        raise ValueError("its image data are truncated or too long")

    samples = np.empty((height, width, channels), np.uint16)
    stream, start = np.frombuffer(raw, np.uint8), 0
    for (x, y, dx, dy), (rows, columns) in zip(passes, shapes, strict=True):
        size = rows * (1 + 2 * channels * columns)
        if size:
            lines = stream[start : start + size].reshape(rows, -1)
            samples[y::dy, x::dx] = _unfilter(lines[:, 0], lines[:, 1:].reshape(rows, columns, -1)).view(">u2")
        start += size
    return samples


def encode16(samples: NDArray[np.uint16]) -> bytes:
    """A PNG file of grey (H, W) or RGB (H, W, 3) samples with 16 bits each."""
    height, width = samples.shape[:2]
    lines = samples.astype(">u2", order="C").view(np.uint8).reshape(height, -1)
    up = np.vstack([lines[:1], lines[1:] - lines[:-1]])  # filter type 2; uint8 wraps as the format wants
    raw = np.hstack([np.full((height, 1), 2, np.uint8), up]).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 16, 0 if samples.ndim == 2 else 2, 0, 0, 0)
    return SIGNATURE + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 6)) + chunk(b"IEND", b"")


def chunk(name: bytes, body: bytes) -> bytes:
    """One chunk: its length, name, content and checksum."""
    return len(body).to_bytes(4, "big") + name + body + zlib.crc32(name + body).to_bytes(4, "big")


def _unfilter(filters: NDArray[np.uint8], coded: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undo the row filters of ``coded`` (rows, columns, bytes per pixel).

    A pixel depends on its neighbours to the left, above, and above left, so all pixels of an anti-diagonal
    are independent: the loop runs over anti-diagonals and numpy over the rows.
    """
    rows, columns, _ = coded.shape
    if filters.max() > 4:
        raise ValueError("unknown row filter")
    pixels = np.zeros((rows + 1, columns + 1, coded.shape[2]), np.uint8)  # a border of zeros above and left
    for diagonal in range(rows + columns - 1):
        row = np.arange(max(0, diagonal - columns + 1), min(rows, diagonal + 1))
        column = diagonal - row
        left = pixels[row + 1, column].astype(np.int16)
        above = pixels[row, column + 1].astype(np.int16)
        corner = pixels[row, column].astype(np.int16)
        predictors = (np.zeros_like(left), left, above, (left + above) >> 1, _paeth(left, above, corner))
        predicted = np.choose(filters[row][:, None], predictors).astype(np.uint8)
        pixels[row + 1, column + 1] = coded[row, column] + predicted
    return np.ascontiguousarray(pixels[1:, 1:])


def _paeth(left: NDArray[np.int16], above: NDArray[np.int16], corner: NDArray[np.int16]) -> NDArray[np.int16]:
    """The neighbour nearest to left + above - corner; ties prefer left, then above."""
    to_left, to_above, to_corner = abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)
    nearest = np.where(to_above <= to_corner, above, corner)
    return np.where((to_left <= to_above) & (to_left <= to_corner), left, nearest)
