"""Sinograms become measurements: what follows from the file, what from options, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import tifffile

import idmcli
from idmcli.cli import main
from idmcli.errors import InputError
from idmcli.importing import facts_of, import_item
from idmcli.io.items import Item
from idmcli.measuring import Measurement
from idmcli.operators import FanBeamCT, ParallelBeamCT
from tests.operators.test_tomography import ellipse
from tests.tomography_files import write_ct_data, write_ct_data_7, write_dxchange

pytestmark = pytest.mark.usefixtures("folder")
IMAGE = 0.02 * ellipse(128, 63.5)[..., 16:112, 16:112]
ANGLES = np.arange(0, 180, 3.0)
AXIS, CELLS = 62.4, 130
PARALLEL = ParallelBeamCT((1, 96, 96), ANGLES, detectors=CELLS, axis=AXIS, origin="middle")
VIEWS = PARALLEL.A(IMAGE)[0, 0].numpy()
FAN = FanBeamCT(
    (1, 96, 96),
    np.arange(0, 90, 3.0),
    source_axis=60,
    source_detector=80,
    pitch=1,
    pixel=0.75,
    detectors=130,
    origin="middle",
)
FAN_VIEWS = FAN.A(IMAGE)[0, 0].numpy()


def imported(name: str, **options: Any) -> tuple[Measurement, str]:
    m, assumed = import_item(Item.parse(name), options)
    assert m.provenance is not None and m.provenance.notes == tuple(assumed) and m.gain is None
    return m, "; ".join(assumed)


def refused(name: str, **options: Any) -> str:
    """The message and the hint of an import that fails."""
    with pytest.raises(InputError) as caught:
        import_item(Item.parse(name), options)
    return f"{caught.value.message}: {caught.value.hint}"


@pytest.fixture
def scan() -> str:
    """Two rows of counts, with fields without object and without beam."""
    white = np.random.default_rng(0).uniform(900, 1100, (1, 1, CELLS))
    dark = np.full((1, 1, CELLS), 50.0)
    counts = dark + (white - dark) * np.exp(-VIEWS[:, None] * np.array([1, 0.5])[:, None])
    fields = {"white": np.tile(white, (4, 2, 1)), "dark": np.tile(dark, (3, 2, 1))}
    write_dxchange("scan.h5", counts.astype(np.float32), ANGLES, **fields)
    return "scan.h5"


def test_a_scan_with_its_calibration(scan: str) -> None:
    m, assumed = imported(scan, row=1, axis="auto")
    np.testing.assert_allclose(m.y[0], 0.5 * VIEWS, atol=2e-4)
    operator = m.operator
    assert isinstance(operator, ParallelBeamCT) and operator.origin == "middle"
    assert operator.axis == pytest.approx(AXIS, abs=0.1) and operator.degrees == pytest.approx(list(ANGLES))
    assert operator.image_shape == (1, CELLS, CELLS) and operator.pitch == 1
    for word in ("60 views from 0 to 177 degrees", "-log", "axis of rotation", "parallel beams", "noise"):
        assert word in assumed


def test_the_image_comes_out(scan: str) -> None:
    m, _ = imported(f"{scan}#1", axis=str(AXIS), shape=(96, 96), pixel=1.0)
    found = np.asarray(idmcli.reconstruct(m, method="tv")).squeeze()
    assert np.linalg.norm(found - IMAGE[0, 0].numpy()) < 0.1 * np.linalg.norm(IMAGE)


def test_fewer_pixels_cover_the_same_field(scan: str) -> None:
    m, assumed = imported(f"{scan}#1", axis=str(AXIS), shape=(65, 65))
    assert isinstance(m.operator, ParallelBeamCT) and m.operator.pitch == 0.5 and "2 detector cells" in assumed


def test_rows_are_items(scan: str) -> None:
    assert "--row" in refused(scan, axis="auto") and "0 to 1" in refused(f"{scan}#3", axis="auto")
    assert "two rows" in refused(f"{scan}#1", row=1, axis="auto")
    assert main(["import", scan, "--row", "1", "--axis", "auto"]) == 0
    assert [path.name for path in Path("measurements").iterdir()] == ["scan_2.safetensors"]


def test_facts(scan: str) -> None:
    facts = facts_of(Item(Path(scan), 1))
    assert facts is not None and facts.known["views"] == 60 and facts.known["angles"] == "0 to 177 degrees"
    assert facts.missing == ("the axis of rotation (--axis)",)
    write_ct_data("fan.mat", FAN_VIEWS, angles=FAN.degrees)
    facts = facts_of(Item(Path("fan.mat")))
    assert facts is not None and facts.known["source_axis"] == 60 and facts.missing == ()


@pytest.mark.parametrize("write", [write_ct_data, write_ct_data_7])
def test_fan_beams_with_their_geometry(write: Callable[..., None]) -> None:
    write("fan.mat", FAN_VIEWS, angles=np.array(FAN.degrees), geometryType="Cone")
    m, assumed = imported("fan.mat", shape=(96, 96), pixel=1.0)
    assert isinstance(m.operator, FanBeamCT) and m.operator.to_spec() == FAN.to_spec()
    np.testing.assert_allclose(m.y[0], FAN_VIEWS, rtol=1e-6)
    assert "mm" in assumed and "line integrals" in assumed and "cell 64.5" in assumed
    m, _ = imported("fan.mat", axis="60.5", shape=(96, 96), pixel=1.0)
    assert isinstance(m.operator, FanBeamCT) and m.operator.axis == 60.5


def test_fan_beams_with_the_geometry_from_options() -> None:
    np.save("views.npy", FAN_VIEWS)
    given: dict[str, Any] = {"angles": "0:90", "views": "rows", "shape": (96, 96), "pixel": 1.0}
    m, _ = imported("views.npy", fan="60,80,1", **given)
    assert m.operator.to_spec() == FAN.to_spec()
    m, _ = imported("views.npy", fan="60,80,1,-2.5", **given)
    assert isinstance(m.operator, FanBeamCT) and m.operator.axis == 64.5 + 2.5
    assert "both say" in refused("views.npy", fan="60,80,1,2", axis="middle", **given)
    assert "--fan" in refused("views.npy", fan="60,80", **given)
    assert "check the unit" in refused("views.npy", fan="0.06,0.08,1", **given)


@pytest.mark.parametrize("turned", [False, True])
def test_plain_arrays_and_pictures(turned: bool) -> None:
    np.save("views.npy", VIEWS.T if turned else VIEWS)
    tifffile.imwrite("views.tif", (VIEWS.T if turned else VIEWS).astype(np.float32))
    np.savetxt("angles.txt", ANGLES)
    for name in ("views.npy", "views.tif"):
        m, _ = imported(name, angles="angles.txt", axis=str(AXIS))
        np.testing.assert_allclose(m.y[0], VIEWS, rtol=1e-5, atol=1e-6)
        m, _ = imported(name, angles="0:180", views="columns" if turned else "rows", axis=str(AXIS))
        assert isinstance(m.operator, ParallelBeamCT) and m.operator.degrees == pytest.approx(list(ANGLES))


def test_counts_of_a_plain_array() -> None:
    counts = np.round(60000 * np.exp(-VIEWS)).astype(np.uint16)
    np.save("counts.npy", counts)
    np.save("white.npy", np.full(CELLS, 60000.0))
    given = {"angles": "0:180", "views": "rows", "axis": "auto"}
    assert "--white" in refused("counts.npy", **given)
    for white in ("60000", "white.npy"):
        m, _ = imported("counts.npy", white=white, **given)
        np.testing.assert_allclose(m.y[0], VIEWS, atol=1e-3)
    m, _ = imported("counts.npy", white="none", **given)
    assert float(m.y.max()) == counts.max()


def test_what_is_missing_is_named(scan: str) -> None:
    np.save("views.npy", VIEWS)
    square = np.ones((6, 6), np.float32)
    np.save("square.npy", square)
    assert "--axis auto" in refused(f"{scan}#1")
    assert "--angles" in refused("views.npy")
    assert "--angles" in refused("views.npy", axis="auto")
    assert "--views" in refused("views.npy", angles="0:180", axis="auto")
    assert "--views" in refused("square.npy", angles="0,1,2,3,4,5", axis="auto")
    assert "--axis" in refused("views.npy", angles="0:180", views="rows", axis="1000")
    np.save("radians.npy", np.radians(ANGLES))
    assert "--angle-unit" in refused("views.npy", angles="radians.npy", axis="auto")
    m, _ = imported("views.npy", angles="radians.npy", angle_unit="radians", axis=str(AXIS))
    assert isinstance(m.operator, ParallelBeamCT) and m.operator.degrees == pytest.approx(list(ANGLES))
    counts = np.exp(-VIEWS[:, None])
    write_dxchange("bare.h5", counts, ANGLES)
    assert "--white" in refused("bare.h5", axis="auto")
    imported("bare.h5", axis="auto", white="1")
    write_dxchange("angles.h5", counts, None)
    assert "--angles" in refused("angles.h5", axis="auto", white="1")
    imported("angles.h5", axis="auto", white="1", angles="0:180")
    write_dxchange("units.h5", counts, np.radians(ANGLES), units=None)
    assert "--angle-unit" in refused("units.h5", axis="auto", white="1")
    write_dxchange("radians.h5", counts, np.radians(ANGLES), units="radians")
    assert imported("radians.h5", axis="auto", white="1")[0].operator.to_spec()["angles"] == pytest.approx(list(ANGLES))


def test_a_wrong_axis_shows_as_misfit(scan: str, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--row", "0", "--shape", "96,96", "--pixel", "1"]
    for axis in (str(AXIS), "66.4"):
        assert main(["import", scan, *common, "--axis", axis, "--overwrite"]) == 0
        assert main(["reconstruct", "measurements/scan_1.safetensors", "--method", "tv", "--overwrite"]) == 0
        err = capsys.readouterr().err
        assert ("check the order, centre, axis" in err) == (axis == "66.4")


def test_the_wrong_reader_names_import(capsys: pytest.CaptureFixture[str]) -> None:
    np.save("views.npy", 100 * VIEWS)
    tifffile.imwrite("views.tif", (100 * VIEWS).astype(np.float32))
    for command in ("sense", "reconstruct"):
        for name in ("views.npy", "views.tif"):
            assert main([command, name]) == 2
            assert "idm import" in capsys.readouterr().err


def test_not_a_number(scan: str) -> None:
    with h5py.File(scan, "r+") as file:
        file["exchange/data"][3, 0, 4] = np.nan
    assert "NaN" in refused(f"{scan}#1", axis="auto")
