"""What the tests of faults share: small pictures, and a command that must fail in one sentence."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from idmcli.cli import main
from idmcli.io.images import write_image

Capture = pytest.CaptureFixture[str]
FAST = ("--method", "pinv", "--set", "operator.block=8")


def draw(path: str | Path, shape: tuple[int, ...] = (16, 16), seed: int = 0, bits: int = 8) -> Path:
    """A picture of noise."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_image(path, np.random.default_rng(seed).random(shape), bits)
    return Path(path)


def run(capsys: Capture, *arguments: str | Path, code: int = 0) -> tuple[str, str]:
    """What a command writes to stdout and stderr; whatever it meets, there is no traceback and no internal error."""
    capsys.readouterr()
    found = main(list(map(os.fspath, arguments)))
    out, err = capsys.readouterr()
    assert found == code, err
    assert "Traceback" not in err and "internal error" not in err
    return out, err


def failed(capsys: Capture, *arguments: str | Path, code: int = 2) -> str:
    """The message of a command that has no result: one error, and at most one hint, after any warnings."""
    out, err = run(capsys, *arguments, code=code)
    while err.startswith("warning: "):
        err = err.partition("\n")[2]
    assert out == "" and err.startswith("error: ") and err.count("error: ") == 1 and err.count("hint: ") <= 1
    return err


def results(capsys: Capture, *arguments: str | Path, code: int = 0) -> dict[str, Any]:
    """The JSON object of a command."""
    document: dict[str, Any] = json.loads(run(capsys, *arguments, "--json", code=code)[0])
    return document


def files(folder: str | Path) -> list[str]:
    """The files below a folder, hidden ones too."""
    return sorted(path.relative_to(folder).as_posix() for path in Path(folder).rglob("*") if path.is_file())


def python(script: str, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
    """Run a script in a process of its own."""
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, text=True, timeout=500, **{"capture_output": True} | options)
