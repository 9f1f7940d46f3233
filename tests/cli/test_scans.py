"""Files of scanners on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import idmcli
from idmcli.cli import main
from tests.scanners import coil_images, header, kspace_of, noise, write_cfl, write_fastmri

Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("folder")
IMAGES = coil_images(4)
TRUTH = np.sqrt((np.abs(IMAGES) ** 2).sum(0))


@pytest.fixture
def scan() -> Path:
    """Two slices of which half of the lines were measured."""
    mask = np.zeros(40, bool)
    mask[::2] = mask[12:28] = True
    kspace = np.stack([kspace_of(IMAGES), 2 * kspace_of(IMAGES)]) * mask + noise((2, *IMAGES.shape), 0.01)
    return write_fastmri(Path("scan.h5"), kspace, header((48, 40, 1)), mask)


def test_info_says_what_a_scan_is(scan: Path, capsys: Capture) -> None:
    assert main(["info", "scan.h5#2", "--json"]) == 0
    (result,) = json.loads(capsys.readouterr().out.splitlines()[-1])["results"]
    assert result["format"] == "fastMRI" and result["parts"] == 2 and result["slice"] == "2 of 2"
    assert result["matrix"] == "48 x 40" and result["coils"] == 4 and result["acceleration"] == 1.43
    assert main(["info", "scan.h5"]) == 0
    assert "1 of 2" in capsys.readouterr().out


def test_import_and_reconstruct_give_what_reconstruct_alone_gives(scan: Path, capsys: Capture) -> None:
    assert main(["import", "scan.h5", "--dry-run"]) == 0 and not Path("measurements").exists()
    assert main(["import", "scan.h5#2"]) == 0
    assert "assumed: coil maps by ESPIRiT from the 24 x 17 points" in capsys.readouterr().out
    m = idmcli.load("measurements/scan_2.safetensors")
    assert m.provenance.notes and m.noise == pytest.approx(0.01, rel=0.2)
    tail = ["--method", "tv", "--format", "npz"]
    assert main(["reconstruct", "measurements/scan_2.safetensors", "-o", "two", *tail]) == 0
    assert main(["reconstruct", "scan.h5#2", "-o", "one", *tail]) == 0
    one, two = (np.load(f"{folder}/scan_2.npz")["x"] for folder in ("one", "two"))
    np.testing.assert_allclose(one, two, atol=1e-5)
    assert np.iscomplexobj(one)
    assert np.linalg.norm(np.abs(one) - 2 * TRUTH) < 0.1 * np.linalg.norm(2 * TRUTH)


def test_reconstruct_takes_every_slice(scan: Path) -> None:
    assert main(["reconstruct", "scan.h5", "--method", "pinv"]) == 0
    assert sorted(path.name for path in Path("reconstructions").iterdir()) == ["scan_1.png", "scan_2.png"]


def test_maps_and_noise_scans_are_files(capsys: Capture) -> None:
    write_cfl(Path("kspace.cfl"), kspace_of(IMAGES).transpose(1, 2, 0)[None])
    write_cfl(Path("noise.cfl"), noise((200, 1, 1, 4), 0.01))
    write_cfl(Path("few.cfl"), noise((200, 1, 1, 3), 0.01))
    command = ["import", "kspace.cfl", "--maps", "espirit", "--coils", "3", "--noise-scan"]
    assert main([*command, "few.cfl"]) == 2
    assert "a noise scan of 3 coils" in capsys.readouterr().err
    assert main([*command, "noise.cfl"]) == 0
    out = capsys.readouterr().out
    assert "decorrelated by a noise scan of 200 samples" in out and "4 coils combined to 3" in out
    made = idmcli.load("measurements/kspace.safetensors").provenance.command
    assert "--noise-scan=noise.cfl" in made and "--coils=3" in made


def test_what_is_not_for_scans(scan: Path, capsys: Capture) -> None:
    for command, reason in (
        (["reconstruct", "scan.h5#1", "--ratio", "0.3"], "--ratio is for pictures"),
        (["import", "scan.h5#1", "--matrix", "a.npy"], "--matrix is not for k-space data"),
        (["import", "scan.h5#3"], "is not there"),
    ):
        assert main(command) == 2
        assert reason in capsys.readouterr().err
