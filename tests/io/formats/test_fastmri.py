"""Files in the layout of fastMRI."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.formats import FASTMRI, format_of
from idmcli.io.items import Item
from tests.scanners import coil_images, header, kspace_of, noise, write_fastmri

KSPACE = np.stack([kspace_of(coil_images(3)), 2 * kspace_of(coil_images(3))])  # slices, coils, 48, 40


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.h5"


def test_several_coils(path: Path) -> None:
    write_fastmri(path, KSPACE)
    assert format_of(path) is FASTMRI and FASTMRI.items(path) == [Item(path, 1), Item(path, 2)]
    found = FASTMRI.read(Item(path, 2))
    np.testing.assert_array_equal(found.samples, KSPACE[1])
    assert found.readout == 0 and found.fov is None and found.padding is None
    assert found.facts == {"slice": "2 of 2", "coils": 3, "acquisition": "AXT1"}
    with pytest.raises(InputError, match="holds 2 slices"):
        FASTMRI.read(Item(path))


def test_one_coil(path: Path) -> None:
    write_fastmri(path, KSPACE[:, 0])
    np.testing.assert_array_equal(FASTMRI.read(Item(path, 1)).samples, KSPACE[0, :1])


def test_the_mask_and_the_padding(path: Path) -> None:
    mask = np.zeros(40, bool)
    mask[4:36:2] = mask[16:24] = True
    kspace = KSPACE.copy()
    kspace[..., :4] = kspace[..., 36:] = 0
    write_fastmri(path, kspace, header((48, 40, 1), (24, 40, 1), limits=(0, 31, 16)), mask)
    found = FASTMRI.read(Item(path, 1))
    np.testing.assert_array_equal(found.sampled, np.broadcast_to(mask, (48, 40)))
    assert not found.samples[:, :, ~mask].any() and found.fov == (24, 40)
    assert found.padding is not None
    np.testing.assert_array_equal(found.padding[0], np.abs(np.arange(40) - 20) > 16)


def test_lines_missing_on_one_side_are_no_padding(path: Path) -> None:
    write_fastmri(path, KSPACE, header((48, 40, 1), limits=(0, 29, 10)))  # partial Fourier
    assert FASTMRI.read(Item(path, 1)).padding is None


@pytest.mark.parametrize("trajectory", ["epi", "radial", "spiral"])
def test_other_trajectories_are_named(path: Path, trajectory: str) -> None:
    write_fastmri(path, KSPACE, header((48, 40, 1), trajectory=trajectory))
    with pytest.raises(InputError, match="EPI" if trajectory == "epi" else trajectory):
        FASTMRI.read(Item(path, 1))


def test_headers_that_are_not_read(path: Path) -> None:
    for xml in (header((48, 40, 1), before="<!DOCTYPE x>"), "<ismrmrdHeader/>", "no XML", header((10**9, 1, 1))):
        write_fastmri(path, KSPACE, xml)
        with pytest.raises(InputError, match="header"):
            FASTMRI.read(Item(path, 1))


def test_a_mask_of_another_size(path: Path) -> None:
    write_fastmri(path, KSPACE, mask=np.ones(7))
    with pytest.raises(InputError, match="the mask has shape"):
        FASTMRI.read(Item(path, 1))


def test_absurd_and_foreign_data(path: Path, tmp_path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("kspace", (2, 10**6, 10**6), "c8", chunks=(1, 10, 10))
    with pytest.raises(InputError, match="claims|more than can be read"):
        FASTMRI.read(Item(path, 1))
    write_fastmri(tmp_path / "other.h5", noise((1, 8, 8)))
    with h5py.File(path, "w") as file:
        file["kspace"] = h5py.ExternalLink("other.h5", "/kspace")
    assert not FASTMRI.recognises(path)


def test_there_is_no_noise_scan(path: Path) -> None:
    write_fastmri(path, KSPACE)
    with pytest.raises(InputError, match="no noise scans"):
        FASTMRI.noise(path)
