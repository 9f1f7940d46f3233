"""Raw data of Siemens scanners."""

from __future__ import annotations

import struct
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.formats import TWIX, format_of
from idmcli.io.formats.twix import _check_chain
from idmcli.io.items import Item
from tests.scanners import coil_images, kspace_of, noise

KSPACE = kspace_of(coil_images(2))  # coils, 48 lines, 40 samples
PROTOCOL = """### ASCCONV BEGIN ###
sKSpace.lBaseResolution = 20
sKSpace.lPhaseEncodingLines = 48
sKSpace.lPartitions = 16
sKSpace.ucDimension = 2
sKSpace.ucTrajectory = {trajectory}
### ASCCONV END ###
"""
IMAGE, NOISE, REVERSE, SYNC, END = 1 << 3, 1 << 25, 1 << 24, 1 << 5, 1
installed = pytest.mark.skipif(find_spec("twixtools") is None, reason="needs twixtools")


def header(trajectory: int = 1) -> bytes:
    """The parts of a header that the reader asks for."""
    parts = {"Config": "", "Dicom": "", "Meas": "", "MeasYaps": PROTOCOL.format(trajectory=trajectory), "Phoenix": ""}
    text = b"".join(
        name.encode() + b"\0" + struct.pack("<I", len(value)) + value.encode() for name, value in parts.items()
    )
    return struct.pack("<II", 8 + len(text), len(parts)) + text


def block(samples: np.ndarray, flags: int = IMAGE, line: int = 0, *, columns: int | None = None) -> bytes:  # type: ignore[type-arg]
    """One readout of version VD: a head of 192 bytes, then each coil with one of 32."""
    coils, count = samples.shape
    head = bytearray(192)
    struct.pack_into("<I", head, 0, 192 + coils * (32 + 8 * count))
    struct.pack_into("<QHH", head, 40, flags, count if columns is None else columns, coils)
    struct.pack_into("<H", head, 52, line)
    struct.pack_into("<H", head, 84 - 4, 0)
    return bytes(head) + b"".join(bytes(32) + coil.astype("<c8").tobytes() for coil in samples)


def scan(blocks: bytes, trajectory: int = 1) -> bytes:
    """A file of version VD with one scan."""
    content = header(trajectory) + blocks
    first = struct.pack("<IIIIQQ", 0, 1, 7, 0, 10_240, len(content))
    return first.ljust(10_240, b"\0") + content


LAST = block(np.zeros((0, 0)), END)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "meas.dat"


def test_it_is_recognised_by_its_content(path: Path) -> None:
    path.write_bytes(scan(block(KSPACE[:, 0]) + LAST))
    assert format_of(path) is TWIX
    for content in (b"", b"1 2 3\n4 5 6\n", scan(b"")[:9000], struct.pack("<II", 1, 40) * 3):
        path.write_bytes(content)
        assert not TWIX.recognises(path)


def test_readouts_that_do_not_follow_one_another_are_refused(path: Path) -> None:
    path.write_bytes(scan(block(KSPACE[:, 0]) + block(KSPACE[:, 1]) + LAST))
    _check_chain(path)
    nothing = bytearray(block(noise((0, 0)), SYNC))
    nothing[:4] = bytes(4)
    for blocks in (bytes(nothing) * 3, block(KSPACE[:, 0], columns=60_000) + LAST):
        path.write_bytes(scan(blocks))
        with pytest.raises(InputError, match="truncated or damaged"):
            _check_chain(path)


@pytest.mark.skipif(find_spec("twixtools") is not None, reason="for those who do not have it")
def test_the_library_is_named_where_it_is_missing(path: Path) -> None:
    path.write_bytes(scan(block(KSPACE[:, 0]) + LAST))
    with pytest.raises(InputError, match="need the library twixtools"):
        TWIX.read(Item(path))


@installed
def test_a_slice_of_lines(path: Path) -> None:
    twixtools = pytest.importorskip("twixtools")

    def line(row: int, samples: np.ndarray, *flags: str) -> object:  # type: ignore[type-arg]
        made = twixtools.mdb.Mdb_local(samples)
        made.mdh.Counter.Lin, made.mdh.CenterLin, made.mdh.CenterCol = row, 24, 20
        for flag in flags:
            made.add_flag(flag)
        return made

    lines = [line(row, KSPACE[:, row], "ONLINE") for row in range(48)]
    measured = noise((2, 40), 0.5)
    content = {"hdr_str": np.frombuffer(header(), "S1"), "mdb": [line(0, measured, "NOISEADJSCAN"), *lines]}
    twixtools.write_twix(content, str(path))
    found = TWIX.read(Item(path))
    np.testing.assert_array_equal(found.samples, KSPACE)
    assert found.sampled.all() and found.fov == (48, 20) and found.readout == 1
    np.testing.assert_allclose(TWIX.noise(path), measured, rtol=1e-6)
