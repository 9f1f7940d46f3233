"""HDF5 with care: nothing outside the file, no foreign filters, no absurd sizes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.hdf5 import hdf5_file

DATA = np.arange(12.0).reshape(3, 4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    np.save(tmp_path / "secret.npy", DATA)
    with h5py.File(tmp_path / "other.h5", "w") as other:
        other["data"] = DATA
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["group/plain"] = DATA
        file.create_dataset("packed", data=DATA, compression="gzip", shuffle=True)
        file["group/inside"] = h5py.SoftLink("plain")
        file["absolute"] = h5py.SoftLink("/group/plain")
        file["circle"] = h5py.SoftLink("/circle")
        file["elsewhere"] = h5py.ExternalLink("other.h5", "/data")
        file["detour"] = h5py.SoftLink("/elsewhere")
        secret = str(tmp_path / "secret.npy")
        file.create_dataset("stored", (3, 4), "f8", external=[(secret, 128, h5py.h5f.UNLIMITED)])
        layout = h5py.VirtualLayout((3, 4), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "data", (3, 4))
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("huge", (10**7, 10**6), "f8", chunks=(1, 1000))
        file.create_dataset("foreign", data=DATA, compression="lzf")
        file["words"] = "text"
        file["group"].attrs["unit"] = "mm"
    return tmp_path / "a.h5"


def test_what_the_file_holds_itself_is_read(path: Path) -> None:
    with hdf5_file(path) as file:
        for name in ("group/plain", "packed", "group/inside", "absolute"):
            assert name in file and file.shape(name) == (3, 4) and np.array_equal(file.read(name), DATA)
        assert np.array_equal(file.read("packed", 1), DATA[1]) and file.text("words") == "text"
        assert file.attribute("group", "unit") == "mm" and file.attribute("group", "none") is None
        assert "none" not in file and "group/plain/deeper" not in file
        names = file.names()
    assert "group/plain" in names and "elsewhere" not in names and "group/inside" not in names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("elsewhere", "is a link to another file"),
        ("detour", "is a link to another file"),
        ("circle", "is a link to another file"),
        ("stored", "lies in another file"),
        ("virtual", "lies in another file"),
        ("huge", "claims 10000000000000 values"),
        ("foreign", "is packed by filter 32000"),
        ("none", "holds no data set 'none'"),
        ("group", "holds no data set 'group'"),
    ],
)
def test_what_leads_elsewhere_or_claims_too_much_is_refused(path: Path, name: str, reason: str) -> None:
    with hdf5_file(path) as file, pytest.raises(InputError, match=reason):
        file.read(name)


def test_damaged_files(path: Path) -> None:
    whole = path.read_bytes()
    for length in (0, 8, 100, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError), hdf5_file(path) as file:
            file.read("packed")
