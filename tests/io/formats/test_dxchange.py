"""Scans in the layout of DXchange: read row by row, hostile and damaged ones refused."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from idmcli.errors import InputError
from idmcli.io.formats import DXCHANGE, format_of
from idmcli.io.items import Item
from tests.tomography_files import write_dxchange

pytestmark = pytest.mark.usefixtures("folder")
VIEWS = np.random.default_rng(0).uniform(1, 2, (6, 3, 10)).astype(np.float32)
ANGLES = np.arange(0, 180, 30.0)
PATH = Path("scan.h5")


def test_rows_are_read_as_they_were_written() -> None:
    white, dark = VIEWS[:4] + 1, VIEWS[:2] - 1
    write_dxchange(PATH, VIEWS, ANGLES, white=white, dark=dark, compression="gzip", shuffle=True)
    assert format_of(PATH) is DXCHANGE
    assert [item.number for item in DXCHANGE.items(PATH)] == [1, 2, 3]
    for row in range(3):
        found = DXCHANGE.read(Item(PATH, row + 1))
        assert found.white is not None and found.dark is not None and found.angles is not None
        np.testing.assert_array_equal(found.views, VIEWS[:, row])
        np.testing.assert_array_equal(found.white, white[:, row])
        np.testing.assert_array_equal(found.dark, dark[:, row])
        np.testing.assert_array_equal(found.angles, ANGLES)
        assert found.angle_unit == "degrees" and found.integrals is False and found.fan is None


@pytest.mark.parametrize(
    ("units", "expected"), [("deg.", "degrees"), ("Radian", "radians"), ("turns", None), (None, None)]
)
def test_the_unit_of_angles(units: str | None, expected: str | None) -> None:
    write_dxchange(PATH, VIEWS[:, :1], ANGLES, units=units)
    assert DXCHANGE.read(Item(PATH)).angle_unit == expected


def test_one_row_of_a_large_scan_is_read_alone() -> None:
    """8 TB by its own word, 60 kB of which are read."""
    with h5py.File(PATH, "w") as file:
        file.create_dataset("exchange/data", (6, 2**28, 1250), "f4", chunks=(1, 1, 1250), compression="gzip")
    assert DXCHANGE.read(Item(PATH, 7)).views.shape == (6, 1250)


@pytest.mark.parametrize(
    ("shape", "message"),
    [((6, 1, 2**40), "more than can be read"), ((0, 1, 8), "views and detector cells"), ((4, 0, 8), "rows")],
)
def test_sizes_are_checked_before_anything_is_read(shape: tuple[int, ...], message: str) -> None:
    with h5py.File(PATH, "w") as file:
        file.create_dataset("exchange/data", shape, "f4", chunks=True if 0 not in shape else None)
    with pytest.raises(InputError, match=message):
        DXCHANGE.read(Item(PATH, 1))


def test_parts_that_do_not_fit() -> None:
    write_dxchange(PATH, VIEWS, ANGLES[:5])
    with pytest.raises(InputError, match="6 views, and angles"):
        DXCHANGE.read(Item(PATH, 1))
    write_dxchange(PATH, VIEWS, ANGLES, white=VIEWS[:, :, :8])
    with pytest.raises(InputError, match="data_white"):
        DXCHANGE.read(Item(PATH, 1))
    write_dxchange(PATH, VIEWS.astype("S4"), ANGLES)
    with pytest.raises(InputError, match="no real numbers"):
        DXCHANGE.read(Item(PATH, 1))


def test_nothing_outside_the_file_is_read() -> None:
    write_dxchange("other.h5", VIEWS, ANGLES)
    with h5py.File(PATH, "w") as file:
        file["exchange/data"] = VIEWS
        file["exchange/data_white"] = h5py.ExternalLink("other.h5", "exchange/data")
    with pytest.raises(InputError, match="another file"):
        DXCHANGE.read(Item(PATH, 1))
    with h5py.File(PATH, "w") as file:
        layout = h5py.VirtualLayout(VIEWS.shape, VIEWS.dtype)
        layout[:] = h5py.VirtualSource("other.h5", "exchange/data", VIEWS.shape)
        file.create_virtual_dataset("exchange/data", layout)
    with pytest.raises(InputError, match="another file"):
        DXCHANGE.read(Item(PATH, 1))


def test_damaged_files_are_refused() -> None:
    write_dxchange(PATH, VIEWS, ANGLES)
    content = PATH.read_bytes()
    for end in (9, 100, len(content) // 2):
        PATH.write_bytes(content[:end])
        assert not DXCHANGE.recognises(PATH)
        with pytest.raises(InputError):
            DXCHANGE.read(Item(PATH, 1))


def test_it_is_only_read() -> None:
    write_dxchange(PATH, VIEWS[:, :1], ANGLES)
    with pytest.raises(InputError, match="only read"):
        DXCHANGE.write(PATH, DXCHANGE.read(Item(PATH)))
