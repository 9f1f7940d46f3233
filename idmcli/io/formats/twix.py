"""Raw data of Siemens scanners (twix, ``meas*.dat``), read by the library twixtools."""

from __future__ import annotations

import contextlib
import io
import math
import os
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from idmcli.errors import InputError
from idmcli.io.extras import optional
from idmcli.io.files import require_file
from idmcli.io.formats.base import MAX_PIXELS
from idmcli.io.formats.kspace import KSpace, KSpaceFormat, Samples, choose_item, numbered
from idmcli.io.formats.mrd_header import CARTESIAN, refuse_trajectory
from idmcli.io.formats.scan import Head, Purpose, Scan
from idmcli.io.items import Item

FIRST = b"Config"  # the name of the first part of a scan's header, after two numbers
TRAJECTORIES = {1: CARTESIAN, 2: "radial", 4: "spiral", 8: "blade"}
OTHERS = ("RTFEEDBACK", "HPFEEDBACK", "SYNCDATA", "REFPHASESTABSCAN", "PHASESTABSCAN", "PHASCOR", "ACQEND")
MAX_READOUTS = 10_000_000
SYNC, END = 1 << 5, 1  # flags of blocks that hold no readouts, and of the last one


class Twix(KSpaceFormat):
    """Scans of software versions VB, VD and VE; of several in one file the last with an image is read."""

    name = "Siemens twix"
    suffixes = (".dat",)

    def recognises(self, path: Path) -> bool:
        """Whether the header of a scan begins where the file says."""
        try:
            require_file(path)
            with path.open("rb") as file:
                return bool(_starts(file))
        except (InputError, OSError, struct.error):
            return False

    def items(self, path: Path) -> list[Item]:
        """The slices, echoes, phases, repetitions and sets."""
        return numbered(path, _scan(path).count)

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> KSpace:
        """One slice.

        Raises:
            InputError: the file is missing or damaged, or holds an echo-planar or non-Cartesian scan, or noise alone;
                the library is not installed; or the item names none of several slices.
        """
        scan = _scan(item.path)
        return scan.slice_of(choose_item(item, scan.count, "slices"))

    def noise(self, path: Path) -> Samples:
        """The readouts of the noise adjustment."""
        found = _scan(path).noise
        if found is None:
            raise InputError(f"{str(path)!r} holds no noise scan", "give another --noise-scan")
        return found


def _scan(path: Path) -> Scan:
    name = repr(str(path))
    twixtools = optional("twixtools", "raw data of Siemens scanners")
    require_file(path)
    try:
        _check_chain(path)
        with contextlib.redirect_stdout(io.StringIO()):  # the library prints its doubts
            scans = twixtools.read_twix(str(path), parse_pmu=False, parse_geometry=False, verbose=False)
        return _described(name, scans)
    except (InputError, MemoryError):
        raise
    except Exception as error:  # the library, fed with damaged bytes, raises nearly anything
        raise InputError(f"{name} is not a readable twix file (truncated or damaged)", "copy it again") from error


def _described(name: str, scans: Sequence[Mapping[str, Any]]) -> Scan:
    found = [(scan, block) for scan in scans for block in scan["mdb"]]
    purposes = [_purpose(block) for _, block in found]
    imaged = [n for n, purpose in enumerate(purposes) if purpose in (Purpose.IMAGE, Purpose.BOTH)]
    if not imaged:
        raise InputError(f"{name} holds no readouts of an image", "a noise scan is given with --noise-scan")
    scan, first = found[imaged[-1]]
    kept = [n for n, (its, _) in enumerate(found) if its is scan or purposes[n] is Purpose.NOISE]
    protocol = scan["hdr"]["MeasYaps"]["sKSpace"]
    trajectory = int(protocol.get("ucTrajectory", 1))
    reversed_ones = any(found[n][1].is_flag_set("REFLECT") for n in imaged)
    if reversed_ones and any(block.is_flag_set("PHASCOR") for block in scan["mdb"]):
        refuse_trajectory("epi", name)
    refuse_trajectory(TRAJECTORIES.get(trajectory, f"trajectory {trajectory}"), name)
    meas = scan["hdr"]["Meas"]
    own = [found[n][1] for n in imaged if found[n][0] is scan]
    columns = int(protocol["lBaseResolution"])
    lines, partitions = int(protocol["lPhaseEncodingLines"]), _partitions(protocol)
    shape = (
        _around((block.cPar, block.mdh.CenterPar) for block in own)
        if partitions == 1
        else max(_enlarged(partitions, meas.get("flSliceOS")), _around((b.cPar, b.mdh.CenterPar) for b in own)),
        max(_enlarged(lines, meas.get("flPhaseOS")), _around((block.cLin, block.mdh.CenterLin) for block in own)),
        round(columns * float(meas.get("flReadoutOSFactor") or 2)),
    )
    noisy = [scan_ for n, (scan_, _) in enumerate(found) if purposes[n] is Purpose.NOISE]
    return Scan(
        name,
        [_head(found[n][1], purposes[n], shape) for n in kept],
        lambda numbers: [np.ascontiguousarray(found[kept[n]][1].data, np.complex64) for n in numbers],
        coils=int(first.mdh.UsedChannels),
        shape=shape,
        lines=None,
        fov=(min(partitions, shape[0]), min(lines, shape[1]), columns),
        noise_gain=math.sqrt(_dwell(noisy[0]) / _dwell(scan)) if noisy else 1.0,
    )


def _purpose(block: Any) -> Purpose:
    if block.is_flag_set("NOISEADJSCAN"):
        return Purpose.NOISE
    if any(block.is_flag_set(flag) for flag in OTHERS):
        return Purpose.OTHER
    if block.is_flag_set("PATREFANDIMASCAN"):
        return Purpose.BOTH
    return Purpose.CALIBRATION if block.is_flag_set("PATREFSCAN") else Purpose.IMAGE


def _head(block: Any, purpose: Purpose, shape: tuple[int, int, int]) -> Head:
    return Head(
        purpose,
        (block.cSlc, block.cEco, block.cPhs, block.cRep, block.cSet),
        block.cLin + shape[1] // 2 - block.mdh.CenterLin,
        block.cPar + shape[0] // 2 - block.mdh.CenterPar,
        block.mdh.CenterCol,
        (int(block.mdh.CutOff.Pre), int(block.mdh.CutOff.Post)),
        block.is_flag_set("REFLECT"),
    )


def _partitions(protocol: Mapping[str, Any]) -> int:
    """The number of partitions in a three-dimensional scan; 1 in others."""
    return int(protocol.get("lPartitions", 1)) if int(protocol.get("ucDimension", 2)) == 4 else 1


def _enlarged(lines: int, oversampling: Any) -> int:
    return round(lines * (1 + float(oversampling or 0)))


def _around(places: Any) -> int:
    """The least number of lines with frequency zero at N // 2 that hold all places (line, line with frequency zero)."""
    return max(max(2 * centre, 2 * (line - centre) + 1) for line, centre in places) or 1


def _dwell(scan: Mapping[str, Any]) -> float:
    """The time of one sample; 1 where the protocol does not say."""
    times = scan["hdr"]["MeasYaps"].get("sRXSPEC", {}).get("alDwellTime", [1.0])
    return float(times[0]) if len(times) and float(times[0]) > 0 else 1.0


def _starts(file: BinaryIO) -> list[tuple[int, int, bool]]:
    """Where scans begin and end, and whether they are of version VD or VE; empty if the file is none."""
    size = os.fstat(file.fileno()).st_size
    head = file.read(8)
    if len(head) < 8:
        return []
    first, count = struct.unpack("<II", head)
    new = first < 10_000 and 1 <= count <= 64
    places = [(0, size)]
    if new:
        places = []
        for _ in range(count):
            offset, length = struct.unpack("<8xQQ128x", file.read(152))
            places.append((offset, min(offset + (length or size), size)))
    for start, _ in places:
        file.seek(min(start, size))
        if file.read(8 + len(FIRST))[8:] != FIRST:
            return []
    return [(start, end, new) for start, end in places]


def _check_chain(path: Path) -> None:
    """Refuse files whose readouts do not follow one another: a block without length has no successor."""
    with path.open("rb") as file:
        for start, end, new in _starts(file):
            file.seek(start)
            place, count = start + struct.unpack("<I", file.read(4))[0], 0
            while place + 128 < end:
                file.seek(place)
                head = file.read(52)
                (length,), (flags, samples, coils) = (
                    struct.unpack_from("<I", head),
                    struct.unpack_from("<QHH", head, 40 if new else 20),
                )
                if flags & END:
                    break
                size = coils * (8 * samples + (32 if new else 128)) + (192 if new else 0)
                step = length % 2**25 if flags & SYNC else size
                count += 1
                if step == 0 or place + step > end or count > MAX_READOUTS:
                    raise InputError(f"{str(path)!r} is truncated or damaged", "copy it again")
                place += step
