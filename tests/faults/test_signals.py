"""Ctrl-C at any time, and more than once."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hostile import Capture, draw, files, run

MAIN = "import sys, idmcli.__main__ as idm; sys.argv = ['idm', *sys.argv[1:]]\n"
KILL = "import os, signal; kill = lambda *_: os.kill(os.getpid(), signal.SIGINT)\n"


def interrupted(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", script, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=500)


@pytest.mark.parametrize("module", ["typer", "pydantic", "torch", "idmcli.cli"])
def test_while_it_loads(module: str) -> None:
    """Tracebacks on an early Ctrl-C."""
    draw("a.png", (8, 8))
    script = (
        f"{KILL}import sys\n"
        "class Finder:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name == {module!r}: sys.meta_path.remove(self); kill()\n"
        f"sys.meta_path.insert(0, Finder())\n{MAIN}sys.exit(idm.main())"
    )
    done = interrupted(script, "reconstruct", "a.png", "--method=pinv")
    assert done.returncode == 130 and done.stdout == ""
    assert done.stderr in ("", "error: interrupted\n") and files(".") == ["a.png"]


def test_three_times() -> None:
    """Tracebacks on a triple Ctrl-C: in the work, in the message about it, and in the end."""
    draw("a.png", (8, 8))
    script = (
        f"{KILL}{MAIN}import atexit, idmcli.io.images as images, idmcli.cli.output as output\n"
        "images.read_image = kill; output.Output.error = kill; atexit.register(kill); sys.exit(idm.main())"
    )
    done = interrupted(script, "sense", "a.png")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "") and files("measurements") == []


def test_where_python_cannot_raise_it() -> None:
    """In a destructor an interrupt would be printed and forgotten."""
    draw("a.png", (8, 8))
    script = (
        f"{KILL}{MAIN}import idmcli.io.images as images\n"
        "class Dies:\n    __del__ = kill\n"
        "def read(*_, **__):\n    Dies()\n    raise AssertionError('not stopped')\n"
        "images.read_image = read; sys.exit(idm.main())"
    )
    done = interrupted(script, "sense", "a.png")
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_a_library_that_makes_another_exception_of_it(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some libraries turn an interrupt into an error of their own."""
    from idmcli.io import images

    def read(*_: Any, **__: Any) -> None:
        try:
            os.kill(os.getpid(), signal.SIGINT)
        except KeyboardInterrupt:
            raise ImportError("cannot be loaded") from None

    draw("a.png", (8, 8))
    monkeypatch.setattr(images, "read_image", read)
    assert run(capsys, "sense", "a.png", code=130)[1] == "error: interrupted\n"


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)])
@pytest.mark.parametrize("command", [["sense"], ["reconstruct", "--method=pinv"]])
def test_in_a_save(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch, command: list[str], number: int, code: int
) -> None:
    """SIGHUP."""
    draw("in/a.png", (8, 8)), draw("in/b.png", (8, 8))
    link, calls = os.link, []

    def killed(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        link(source, target)

    monkeypatch.setattr(os, "link", killed)
    out, err = run(capsys, *command, "in", "-o", "out", code=code)
    assert err.count("error: ") == 1 and len(out.splitlines()) == 1
    assert [Path(name).stem for name in files("out")] == ["a"]
