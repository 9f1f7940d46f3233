"""ISMRMRD raw data in HDF5 (Inati et al., Magnetic Resonance in Medicine 77, 2017), read with h5py alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats.base import MAX_PIXELS
from idmcli.io.formats.kspace import MAX_BYTES, KSpace, KSpaceFormat, Samples, choose_item, numbered
from idmcli.io.formats.mrd_header import Header, read_header, refuse_trajectory
from idmcli.io.formats.scan import Head, Purpose, Scan
from idmcli.io.hdf5 import Hdf5File, hdf5_file, looks_like
from idmcli.io.items import Item

NOISE, CALIBRATION, CALIBRATION_AND_IMAGE, REVERSE = 19, 20, 21, 22  # flag n is bit n - 1
OTHERS = (23, 24, 26, 27, 28, 29, 30, 31)  # navigators, phase correction, feedback, dummies, ...
PART = ("slice", "contrast", "phase", "repetition", "set")  # as idmcli.io.formats.scan.PARTS
FIELDS = {"flags", "number_of_samples", "active_channels", "center_sample", "discard_pre", "discard_post", "idx"}
AT_ONCE = 64  # readouts


class Ismrmrd(KSpaceFormat):
    """Readouts (head, trajectory, samples) with an XML header, in any group of the file."""

    name = "ISMRMRD"
    suffixes = (".h5", ".hdf5", ".mrd")

    def recognises(self, path: Path) -> bool:
        """Whether an HDF5 file holds a group with a header and readouts."""
        return looks_like(path, lambda file: bool(_groups(file)))

    def items(self, path: Path) -> list[Item]:
        """The slices, echoes, phases, repetitions and sets."""
        with _scan(path) as scan:
            return numbered(path, scan.count)

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> KSpace:
        """One slice.

        Raises:
            InputError: the file is missing or damaged, or holds an echo-planar or non-Cartesian scan, or noise alone;
                or the item names none of several slices.
        """
        with _scan(item.path) as scan:
            return scan.slice_of(choose_item(item, scan.count, "slices"))

    def noise(self, path: Path) -> Samples:
        """The readouts that are marked as noise."""
        with _scan(path) as scan:
            found = scan.noise
        if found is None:
            raise InputError(f"{str(path)!r} holds no noise scan", "give another --noise-scan")
        return found


def _groups(file: Hdf5File) -> list[str]:
    """The groups that hold a scan."""
    names = set(file.names())
    groups = [name.removesuffix("/data") for name in file.names() if name.endswith("/data")]
    return [g for g in groups if f"{g}/xml" in names and {"head", "data"} <= set(file.dtype(f"{g}/data").names or ())]


@contextmanager
def _scan(path: Path) -> Iterator[Scan]:
    with hdf5_file(path) as file:
        groups = _groups(file)
        if not groups:
            raise InputError(f"{file.name} holds no ISMRMRD data", "check which kind of file it is: `idm info`")
        data = f"{groups[0]}/data"
        header = read_header(file.text(f"{groups[0]}/xml"), file.name)
        refuse_trajectory(header.trajectory, file.name)
        heads = file.read(data, "head")
        if not set(heads.dtype.names or ()) >= FIELDS:
            raise InputError(f"{file.name} has readouts without {sorted(FIELDS)}", "copy it again")
        yield _described(file, data, header, heads)


def _described(file: Hdf5File, data: str, header: Header, heads: NDArray[Any]) -> Scan:
    purposes = [_purpose(int(flags)) for flags in heads["flags"]]
    channels = heads["active_channels"]
    imaged = [number for number, purpose in enumerate(purposes) if purpose in (Purpose.IMAGE, Purpose.BOTH)]
    x, y, z = header.encoded.matrix
    return Scan(
        file.name,
        [_head(head, purpose, header) for head, purpose in zip(heads, purposes, strict=True)],
        lambda numbers: _samples(file, data, heads, numbers),
        coils=int(channels[imaged[0] if imaged else 0]) if len(heads) else 0,
        shape=(z, y, x),
        lines=None if header.lines is None else _covered(header),
        fov=(header.fov(2), header.fov(1), header.fov(0)),
        noise_gain=_noise_gain(heads, purposes, imaged, header.noise_bandwidth),
    )


def _purpose(flags: int) -> Purpose:
    set_flags = {bit + 1 for bit in range(64) if flags >> bit & 1}
    if NOISE in set_flags:
        return Purpose.NOISE
    if set_flags & set(OTHERS):
        return Purpose.OTHER
    if CALIBRATION_AND_IMAGE in set_flags:
        return Purpose.BOTH
    return Purpose.CALIBRATION if CALIBRATION in set_flags else Purpose.IMAGE


def _head(head: Any, purpose: Purpose, header: Header) -> Head:
    idx = head["idx"]
    return Head(
        purpose,
        tuple(int(idx[name]) for name in PART),
        int(idx["kspace_encode_step_1"]) + header.offset(1),
        int(idx["kspace_encode_step_2"]) + header.offset(2),
        int(head["center_sample"]),
        (int(head["discard_pre"]), int(head["discard_post"])),
        bool(int(head["flags"]) >> (REVERSE - 1) & 1),
    )


def _covered(header: Header) -> tuple[int, int]:
    """The first and the last row of the scan."""
    assert header.lines is not None
    return header.lines.minimum + header.offset(1), header.lines.maximum + header.offset(1)


def _noise_gain(heads: NDArray[Any], purposes: Sequence[Purpose], imaged: Sequence[int], bandwidth: float) -> float:
    """An image's noise divided by the noise scan's: noise power is proportional to the bandwidth of a sample."""
    noisy = [number for number, purpose in enumerate(purposes) if purpose is Purpose.NOISE]
    if not noisy or not imaged or "sample_time_us" not in (heads.dtype.names or ()):
        return 1.0
    there, here = (float(heads["sample_time_us"][numbers[0]]) for numbers in (noisy, imaged))
    return math.sqrt(there / (here * bandwidth)) if there > 0 and here > 0 and bandwidth > 0 else 1.0


def _samples(file: Hdf5File, data: str, heads: NDArray[Any], numbers: Sequence[int]) -> list[Samples]:
    """The samples of some readouts, (coils, N) each."""
    coils, counts = heads["active_channels"].astype(np.int64), heads["number_of_samples"].astype(np.int64)
    claimed = int((coils * counts)[list(numbers)].sum()) * 8
    if claimed > MAX_BYTES:
        raise InputError(f"{file.name} claims {claimed} bytes of samples, more than can be read", "check the file")
    found = []
    for start in range(0, len(numbers), AT_ONCE):
        some = list(numbers[start : start + AT_ONCE])
        for number, values in zip(some, file.read(data, ("data", some)), strict=True):
            found.append(_complex(values, int(coils[number]), int(counts[number]), f"{file.name}: readout {number}"))
    return found


def _complex(values: Any, coils: int, count: int, name: str) -> Samples:
    """The samples of one readout, from interleaved real and imaginary parts."""
    flat = np.ascontiguousarray(values, np.float32)
    if flat.size != 2 * coils * count:
        raise InputError(f"{name} has {flat.size} numbers, and its head says {2 * coils * count}", "copy it again")
    return flat.view(np.complex64).reshape(coils, count)
