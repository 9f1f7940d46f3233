"""Memory runs out, numbers overflow, solvers do not converge."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from idmcli.errors import out_of_memory
from idmcli.methods import Method
from idmcli.plugins import SOLVERS
from tests.faults.hostile import FAST, Capture, draw, failed, files, run


@pytest.fixture
def second(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Let the reconstruction of the second picture fail."""

    def install(failure: Exception) -> None:
        call, calls = Method.__call__, []

        def wrapped(self: Method, *arguments: Any, **more: Any) -> Any:
            calls.append(arguments)
            if len(calls) == 2:
                raise failure
            return call(self, *arguments, **more)

        monkeypatch.setattr(Method, "__call__", wrapped)

    return install


class OutOfMemoryError(RuntimeError):
    """Named as PyTorch names its own."""


SHORTAGES = [
    MemoryError(),
    OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:121] DefaultCPUAllocator: can't allocate memory: you tried ..."),
    RuntimeError("std::bad_alloc"),
    OSError(12, "Cannot allocate memory"),
]


@pytest.mark.parametrize("failure", SHORTAGES, ids=repr)
def test_the_rest_of_a_batch_is_done(capsys: Capture, second: Any, failure: Exception) -> None:
    """Out of memory ended with 70, and the rest of a batch was not done."""
    for n in range(3):
        draw(f"in/{n}.png", (8, 8), n)
    second(failure)
    err = run(capsys, "reconstruct", "in", *FAST, code=4)[1]
    assert "error: 'in/1.png': out of memory\nhint: " in err and files("reconstructions") == ["0.png", "2.png"]


def test_what_is_no_shortage() -> None:
    for failure in (ValueError("out of memory"), RuntimeError("mat1 and mat2"), OSError(28, "No space left")):
        assert not out_of_memory(failure)


def test_little_memory(capsys: Capture) -> None:
    """Ulimit -v."""
    draw("in/small.png", (8, 8)), draw("in/large.png", (4000, 4000))
    script = (
        "import sys, torch; torch.set_num_threads(1); from idmcli.cli import main; import idmcli.methods, resource\n"
        "import idmcli.io.images, idmcli.measuring.file, idmcli.solvers.pinv, idmcli.io.panels\n"
        "import idmcli.evaluation.tables, idmcli.tasks.inpainting, idmcli.io.arrays\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2 ** 27, used + 2 ** 27))\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    arguments = ["reconstruct", "in", "--preset=inpainting", "--method=pinv"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", script, *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=500)
    assert done.returncode == 4, done.stderr
    assert "'in/large.png': out of memory" in done.stderr and "1 of 2 files failed" in done.stderr
    assert "Traceback" not in done.stderr and files("reconstructions") == ["small.png"]


def test_a_result_that_is_not_finite(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    draw("in/a.png", (8, 8)), draw("in/b.png", (8, 8))
    nan = torch.full((1, 1, 8, 8), torch.nan)
    monkeypatch.setitem(SOLVERS._loaded, "pinv", replace(SOLVERS.find("pinv"), run=lambda *_: nan))
    error = failed(capsys, "reconstruct", "in/a.png", *FAST, code=3)
    assert error.startswith("error: 'in/a.png': method pinv gave values that are not finite\nhint: ")
    assert "2 of 2 files failed" in run(capsys, "eval", "in", "--ratio=0.3", *FAST, "-o", "scores", code=3)[1]
    assert files("reconstructions") == files("scores") == []


@pytest.mark.parametrize("preset", ["cs", "inpainting", "mri", "ct", "deblur", "sr"])
def test_noise_beyond_measure(capsys: Capture, preset: str) -> None:
    """The largest noise that is allowed gives a picture, of whatever."""
    draw("a.png", (8, 8))
    for method in ("pinv", "tikhonov", "tv"):
        run(capsys, "reconstruct", "a.png", "--preset", preset, "--noise=1e6", "--method", method, "--overwrite")
    assert Path("reconstructions/a.png").exists()
