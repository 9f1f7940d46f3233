from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest
import tomli

from idmcli import __version__

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of this checkout, built offline by the declared backend."""
    folder = tmp_path_factory.mktemp("wheel")
    script = "import sys; from hatchling.build import build_wheel; build_wheel(sys.argv[1])"
    subprocess.run([sys.executable, "-c", script, str(folder)], cwd=ROOT, check=True, capture_output=True, timeout=500)
    [path] = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel_holds_code_presets_and_data(wheel: zipfile.ZipFile) -> None:
    names = set(wheel.namelist())
    expected = {f"idmcli/presets/{path.name}" for path in (ROOT / "presets").glob("*.toml")}
    assert "idmcli/presets/cs-tiny.toml" in expected
    for pattern in ("*.py", "*.json", "*.safetensors", "*.png", "py.typed", "report.*"):
        expected |= {path.relative_to(ROOT).as_posix() for path in (ROOT / "idmcli").rglob(pattern)}
    expected = {name for name in expected if "__pycache__" not in name}
    assert expected <= names
    assert {name.split("/")[0] for name in names} == {"idmcli", f"idmcli-{__version__}.dist-info"}
    assert not [name for name in names if "__pycache__" in name]


def test_wheel_metadata(wheel: zipfile.ZipFile) -> None:
    info = f"idmcli-{__version__}.dist-info"
    metadata = HeaderParser().parsestr(wheel.read(f"{info}/METADATA").decode())
    assert (metadata["Name"], metadata["License-Expression"]) == ("idmcli", "Apache-2.0")
    assert "idm = idmcli.__main__:main" in wheel.read(f"{info}/entry_points.txt").decode()
    assert "Apache License" in wheel.read(f"{info}/licenses/LICENSE").decode()


def test_presets_are_found_when_installed(wheel: zipfile.ZipFile, tmp_path: Path) -> None:
    wheel.extractall(tmp_path / "site")
    script = (
        "import sys, idmcli.config as c; from idmcli.cli import main; "
        "print(c.preset_folder(), file=sys.stderr); sys.exit(main(['presets', '--json']))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", script],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.stderr.strip() == str(tmp_path / "site/idmcli/presets")
    names = {preset["name"] for preset in json.loads(done.stdout)["results"]}
    assert names == {path.stem for path in (ROOT / "presets").glob("*.toml")}


def test_constraints_pin_every_direct_requirement() -> None:
    """A fresh environment is the tested one; nothing pulls in a GPU runtime or torchvision."""
    pins = dict(line.split("==") for line in (ROOT / "constraints.txt").read_text().splitlines() if line[:1] not in "#")
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    tested = [extras[name] for name in ("dev", "dicom", "docs", "hdf5", "matlab", "nifti")]
    wanted = [*project["dependencies"], *(line for extra in tested for line in extra if not line.startswith("idmcli["))]
    names = {requirement.partition(">=")[0] for requirement in wanted}
    assert "torch" in names and names <= set(pins)
    assert not [name for name in pins if name.startswith(("nvidia", "torchvision"))]
