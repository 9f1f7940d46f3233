"""Scans in the layout of the Helsinki tomography challenge, in both versions of MATLAB's files."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import scipy.io

from idmcli.errors import InputError
from idmcli.io.formats import CT_DATA, MAT, format_of
from idmcli.io.items import Item
from tests.tomography_files import write_ct_data, write_ct_data_7

pytestmark = pytest.mark.usefixtures("folder")
VIEWS = np.random.default_rng(0).uniform(0, 2, (5, 12)).astype(np.float32).astype(np.float64)
ANGLES = np.arange(5) * 0.5 + 181
PATH = Path("scan.mat")
BOTH = pytest.mark.parametrize("write", [write_ct_data, write_ct_data_7])


@BOTH
def test_it_is_read_as_it_was_written(write: Callable[..., None]) -> None:
    write(PATH, VIEWS, angles=ANGLES, projectName="disc", geometryType="Cone")
    assert format_of(PATH) is CT_DATA and CT_DATA.items(PATH) == [Item(PATH)]
    found = CT_DATA.read(Item(PATH))
    np.testing.assert_array_equal(found.views, VIEWS)
    np.testing.assert_array_equal(found.angles, ANGLES)
    assert found.fan is not None and found.fan == (60, 80, 1, 0, "mm") and found.aligned
    assert found.integrals and found.angle_unit == "degrees" and found.facts == {"project": "disc"}


@BOTH
def test_the_pitch_of_cells_that_were_put_together(write: Callable[..., None]) -> None:
    write(PATH, VIEWS, angles=ANGLES, pixelSizePost="", pixelSize=0.05, binningPost=4.0)
    fan = CT_DATA.read(Item(PATH)).fan
    assert fan is not None and fan.pitch == pytest.approx(0.2)


@BOTH
def test_without_distances_there_is_no_geometry(write: Callable[..., None]) -> None:
    write(PATH, VIEWS, distanceSourceOrigin="far")
    found = CT_DATA.read(Item(PATH))
    assert found.fan is None and found.angles is None and not found.aligned


@BOTH
@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"geometryType": "helical"}, "geometry 'helical'"),
        ({"angles": ANGLES[:3]}, "5 views, and 3 angles"),
        ({"distanceSourceDetector": -3.0}, "not positive"),
    ],
)
def test_what_does_not_fit(write: Callable[..., None], changed: dict[str, object], message: str) -> None:
    write(PATH, VIEWS, **({"angles": ANGLES} | changed))
    with pytest.raises(InputError, match=message):
        CT_DATA.read(Item(PATH))


@BOTH
def test_stacks_and_other_values(write: Callable[..., None]) -> None:
    write(PATH, np.ones((2, 3, 4)))
    with pytest.raises(InputError, match="2 x 3 x 4|4 x 3 x 2"):
        CT_DATA.read(Item(PATH))
    with pytest.raises(InputError, match="not there"):
        CT_DATA.read(Item(PATH, 2))


def test_other_variables_are_plain_arrays() -> None:
    scipy.io.savemat(PATH, {"m": VIEWS})
    assert format_of(PATH) is MAT


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    write_ct_data(PATH, VIEWS, angles=ANGLES)
    packed = zlib.compressobj()
    bomb = b"".join([packed.compress(bytes(2**24)) for _ in range(40)] + [packed.flush()])
    with PATH.open("ab") as file:
        file.write(struct.pack("<II", 15, len(bomb)) + bomb)
    with pytest.raises(InputError, match="more bytes than can be read"):
        CT_DATA.read(Item(PATH))


@BOTH
def test_damaged_files_are_refused(write: Callable[..., None]) -> None:
    write(PATH, VIEWS, angles=ANGLES)
    content = PATH.read_bytes()
    for end in (60, 200, len(content) // 2, len(content) - 40):
        PATH.write_bytes(content[:end])
        if CT_DATA.recognises(PATH):
            with pytest.raises(InputError):
                CT_DATA.read(Item(PATH))
