"""ISMRMRD files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.formats import ISMRMRD, format_of
from idmcli.io.items import Item
from tests.scanners import coil_images, header, kspace_of, lines_of, noise, write_ismrmrd

KSPACE = kspace_of(coil_images(2))  # coils, 48 lines, 40 samples
XML = header((40, 48, 1), (20, 48, 1))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "scan.h5"


def test_a_slice(path: Path) -> None:
    write_ismrmrd(path, XML, lines_of(KSPACE))
    assert format_of(path) is ISMRMRD and ISMRMRD.items(path) == [Item(path)]
    found = ISMRMRD.read(Item(path))
    np.testing.assert_array_equal(found.samples, KSPACE)
    assert found.sampled.all() and found.readout == 1 and found.fov == (48, 20) and found.padding is None


def test_reversed_lines_averages_and_discarded_samples(path: Path) -> None:
    readouts = []
    for given, line in lines_of(KSPACE):
        row = given["kspace_encode_step_1"]
        extended = np.concatenate([np.full((2, 3), 99), line, np.full((2, 1), 99)], 1)
        edges = {"discard_pre": 3, "discard_post": 1, "center_sample": 23}
        if row % 2:  # read backwards: what comes first in time has the highest frequency
            extended = np.concatenate([np.full((2, 1), 99), line, np.full((2, 3), 99)], 1)[:, ::-1]
            edges |= {"flags": 1 << 21, "center_sample": 21}
        readouts += [({**given, **edges}, extended * factor) for factor in (0.5, 1.5)]
    write_ismrmrd(path, XML, readouts)
    found = ISMRMRD.read(Item(path))
    np.testing.assert_allclose(found.samples, KSPACE, rtol=1e-5, atol=1e-6)
    assert found.repeats == 2 and "mean of 2 averages" in found.notes
    assert any("turned round" in note for note in found.notes)


def test_partial_echoes_and_partial_fourier(path: Path) -> None:
    readouts = [({**given, "center_sample": 12}, line[:, 8:]) for given, line in lines_of(KSPACE)[10:]]
    for given, _ in readouts:
        given["kspace_encode_step_1"] -= 10
    write_ismrmrd(path, header((40, 48, 1), limits=(0, 37, 14)), readouts)
    found = ISMRMRD.read(Item(path))
    measured = np.zeros(KSPACE.shape[1:], bool)
    measured[10:, 8:] = True
    np.testing.assert_array_equal(found.sampled, measured)
    np.testing.assert_array_equal(found.samples, KSPACE * measured)


def test_noise_calibration_and_what_is_neither(path: Path) -> None:
    scan = noise((2, 40), 3.0)
    readouts = [({"flags": 1 << 18, "sample_time_us": 4.0}, scan)]
    readouts += [({**given, "flags": 1 << 25}, 1e6 * line) for given, line in lines_of(KSPACE)[:2]]
    readouts += [({**given, "flags": 1 << 19}, 5 * line) for given, line in lines_of(KSPACE)[20:28]]
    readouts += [({**given, "sample_time_us": 1.0}, line) for given, line in lines_of(KSPACE)[::2]]
    write_ismrmrd(path, XML, readouts)
    found = ISMRMRD.read(Item(path))
    np.testing.assert_array_equal(found.sampled[:, 0], np.arange(48) % 2 == 0)
    assert found.calibration is not None and found.noise is not None
    np.testing.assert_allclose(found.calibration[:, 20:28], 5 * KSPACE[:, 20:28], rtol=1e-6)
    np.testing.assert_allclose(found.noise, 2 * scan, rtol=1e-6)  # a sample took a quarter of the time
    np.testing.assert_array_equal(ISMRMRD.noise(path), found.noise)


def test_slices_and_volumes(path: Path) -> None:
    several = [({**given, "slice": n}, (n + 1) * line) for n in range(3) for given, line in lines_of(KSPACE)]
    write_ismrmrd(path, XML, several)
    assert len(ISMRMRD.items(path)) == 3 and ISMRMRD.read(Item(path, 3)).facts["slice"] == "3 of 3"
    np.testing.assert_allclose(ISMRMRD.read(Item(path, 2)).samples, 2 * KSPACE, rtol=1e-6)
    images = noise((2, 4, 8, 6))
    volume = np.fft.fftshift(np.fft.fft(np.fft.ifftshift(kspace_of(images), 1), axis=1, norm="ortho"), 1)
    readouts = [
        ({"kspace_encode_step_1": row, "kspace_encode_step_2": part}, volume[:, part, row])
        for part in range(4)
        for row in range(8)
    ]
    xml = header((6, 8, 4))
    xml = xml.replace(
        "</encodingLimits>",
        "<kspace_encoding_step_2><minimum>0</minimum><maximum>3</maximum>"
        "<center>2</center></kspace_encoding_step_2></encodingLimits>",
    )
    write_ismrmrd(path, xml, readouts)
    items = ISMRMRD.items(path)
    assert len(items) == 4
    for n, item in enumerate(items):
        np.testing.assert_allclose(ISMRMRD.read(item).samples, kspace_of(images[:, n]), atol=1e-5)


@pytest.mark.parametrize("trajectory", ["epi", "radial", "spiral"])
def test_other_trajectories_are_named(path: Path, trajectory: str) -> None:
    write_ismrmrd(path, header((40, 48, 1), trajectory=trajectory), lines_of(KSPACE))
    with pytest.raises(InputError, match="EPI" if trajectory == "epi" else trajectory):
        ISMRMRD.read(Item(path))


def test_hostile_and_damaged_files(path: Path) -> None:
    lines = lines_of(KSPACE)
    for xml, readouts, reason in (
        (header((40, 48, 1), before="<!DOCTYPE x>"), lines, "document type"),
        (header((60_000, 60_000, 1)), lines, "more than can be read"),
        (XML, [({"kspace_encode_step_1": 99}, KSPACE[:, 0])], "belongs at line 99"),
        (XML, [({"number_of_samples": 7}, KSPACE[:, 0])], "its head says"),
        (XML, [({"flags": 1 << 18}, KSPACE[:, 0])], "no readouts of an image"),
        (XML, [*lines, ({}, KSPACE[:1, 0])], "a readout of 1 coils"),
        (XML, [({"discard_pre": 60}, KSPACE[:, 0])], "no sample"),
    ):
        write_ismrmrd(path, xml, readouts)
        with pytest.raises(InputError, match=reason):
            ISMRMRD.read(Item(path))
    with pytest.raises(InputError, match="holds no noise scan"):
        write_ismrmrd(path, XML, lines)
        ISMRMRD.noise(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError):
        ISMRMRD.read(Item(path))
    with h5py.File(path, "w") as file:
        file["data"] = np.zeros(3)
    assert not ISMRMRD.recognises(path)
