"""The 16-bit PNG codec, against a slow encoder written from the specification."""

from __future__ import annotations

import struct
import zlib
from io import BytesIO

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from PIL import Image as Pillow

from idmcli.io import png

COLOURS = {1: 0, 3: 2, 2: 4, 4: 6}
PASSES = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))


def filter_row(kind: int, row: bytes, previous: bytes, bpp: int) -> bytes:
    out = bytearray([kind])
    for i, value in enumerate(row):
        a = row[i - bpp] if i >= bpp else 0
        b = previous[i]
        c = previous[i - bpp] if i >= bpp else 0
        p = a + b - c
        nearest = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        out.append((value - (0, a, b, (a + b) // 2, nearest)[kind]) % 256)
    return bytes(out)


def encode(samples: NDArray[np.uint16], filters: list[int], interlaced: bool = False, extra: bytes = b"") -> bytes:
    """samples (H, W, channels); row i of each pass uses filters[i % len(filters)]."""
    height, width, channels = samples.shape
    raw = b""
    for x, y, dx, dy in PASSES if interlaced else ((0, 0, 1, 1),):
        part = samples[y::dy, x::dx]
        if part.size == 0:
            continue
        previous = bytes(part.shape[1] * channels * 2)
        for i, row in enumerate(part):
            line = row.astype(">u2").tobytes()
            raw += filter_row(filters[i % len(filters)], line, previous, channels * 2)
            previous = line
    header = struct.pack(">IIBBBBB", width, height, 16, COLOURS[channels], 0, 0, interlaced)
    body = zlib.compress(raw)
    half = len(body) // 2
    return (
        png.SIGNATURE
        + chunk(b"IHDR", header)
        + extra
        + chunk(b"IDAT", body[:half])
        + chunk(b"IDAT", body[half:])
        + chunk(b"IEND", b"")
    )


def chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def decode(data: bytes) -> NDArray[np.uint16]:
    return png.decode16(png.read_header(data), png.read_chunks(data)[b"IDAT"])


shapes = st.tuples(st.integers(1, 11), st.integers(1, 11), st.sampled_from([1, 2, 3, 4]))


@settings(max_examples=60, deadline=None)
@given(arrays(np.uint16, shapes), st.lists(st.integers(0, 4), min_size=1, max_size=6), st.booleans())
def test_decodes_all_filters_channels_and_interlacing(
    samples: NDArray[np.uint16], filters: list[int], interlaced: bool
) -> None:
    assert np.array_equal(decode(encode(samples, filters, interlaced)), samples)


@pytest.mark.parametrize("interlaced", [False, True])
def test_the_oracle_itself_agrees_with_pillow_on_grey(interlaced: bool) -> None:
    samples = np.random.default_rng(0).integers(0, 65536, (13, 9, 1), np.uint16)
    with Pillow.open(BytesIO(encode(samples, [0, 1, 2, 3, 4], interlaced))) as picture:
        assert np.array_equal(np.asarray(picture), samples[..., 0])


@settings(max_examples=30, deadline=None)
@given(arrays(np.uint16, st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))))
def test_encode_decode(samples: NDArray[np.uint16]) -> None:
    assert np.array_equal(decode(png.encode16(samples[..., 0] if samples.shape[2] == 1 else samples)), samples)


def test_pillow_reads_what_is_encoded() -> None:
    samples = np.random.default_rng(1).integers(0, 65536, (7, 5), np.uint16)
    with Pillow.open(BytesIO(png.encode16(samples))) as picture:
        assert np.array_equal(np.asarray(picture), samples)
    colour = np.stack([samples, samples // 2, 65535 - samples], axis=2)
    with Pillow.open(BytesIO(png.encode16(colour))) as picture:  # Pillow keeps the high bytes
        assert np.array_equal(np.asarray(picture), colour >> 8)


def test_encoding_a_transposed_view() -> None:
    samples = np.arange(60, dtype=np.uint16).reshape(3, 4, 5)[..., :3].transpose(1, 0, 2)
    assert np.array_equal(decode(png.encode16(samples)), samples)


def test_refuses_damage() -> None:
    data = encode(np.zeros((4, 4, 3), np.uint16), [1])
    for end in range(len(png.SIGNATURE), len(data)):
        with pytest.raises(ValueError, match="incomplete|truncated"):
            decode(data[:end])
    for position in range(len(png.SIGNATURE), len(data)):
        broken = bytearray(data)
        broken[position] ^= 4
        with pytest.raises(ValueError, match="incomplete|damaged|truncated"):
            decode(bytes(broken))


@pytest.mark.parametrize("rows", [2, 3, 5])
def test_refuses_too_little_or_too_much_data(rows: int) -> None:
    body = zlib.compress(bytes((1 + 6 * 4) * rows))
    header = png.read_header(encode(np.zeros((4, 4, 3), np.uint16), [0]))
    with pytest.raises(ValueError, match="truncated or too long"):
        png.decode16(header, body)


def test_refuses_an_unknown_filter() -> None:
    header = png.read_header(encode(np.zeros((1, 1, 3), np.uint16), [0]))
    with pytest.raises(ValueError, match="filter"):
        png.decode16(header, zlib.compress(bytes([5]) + bytes(6)))
