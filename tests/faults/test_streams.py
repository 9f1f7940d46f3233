"""Nobody reads stdout or stderr, and names that would act on a terminal."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.hostile import FAST, Capture, draw, files, results, run

IDM = [sys.executable, "-m", "idmcli"]


def closed() -> int:
    """A pipe that nobody reads."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def spawn(*arguments: str, **streams: Any) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*IDM, *arguments], text=True, timeout=500, env=os.environ | {"OMP_NUM_THREADS": "1"}, **streams
    )


def test_the_work_is_done_though_nobody_reads_stdout() -> None:
    """A closed stdout turned failures into exit 0."""
    for n in range(3):
        draw(f"in/{n}.png", (32, 32), n)
    writer = closed()
    done = spawn("sense", "in", "--quiet", stdout=writer, stderr=subprocess.PIPE)
    assert (done.returncode, done.stderr) == (0, "") and len(files("measurements")) == 3
    Path("in/1.png").write_bytes(b"")
    done = spawn("sense", "in", "--overwrite", stdout=writer, stderr=subprocess.PIPE)
    assert done.returncode == 2 and "1 of 3 files failed" in done.stderr and "Traceback" not in done.stderr
    os.close(writer)


@pytest.mark.parametrize("json_", [[], ["--json"]])
def test_a_failure_stays_one_though_nobody_reads(json_: list[str]) -> None:
    writer = closed()
    done = spawn("presets", "show", "none", *json_, stdout=writer, stderr=writer)
    assert done.returncode == 2
    os.close(writer)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
def test_a_full_disk_under_stdout_loses_no_files() -> None:
    """/dev/full lost all scores."""
    draw("data/a.png", (8, 8)), draw("data/b.png", (8, 8))
    with open("/dev/full", "w") as full:
        done = spawn("eval", "data", "--ratio=0.3", *FAST, "-o", "scores", stdout=full, stderr=subprocess.PIPE)
    assert done.returncode == 4 and "error: cannot write: No space left on device" in done.stderr
    assert files("scores") == ["means.csv", "scores.csv", "scores.json"]


@pytest.mark.parametrize("target", ["pipe", "/dev/full", "closed"])
def test_a_dead_stderr_stops_nothing(target: str) -> None:
    """A dead stderr killed a command."""
    draw("data/a.png", (8, 8, 3)), Path("data/b.png").write_bytes(b"")
    command = [*IDM, "reconstruct", "data", "--preset=mri", "--method=pinv", "--debug"]
    redirect = {"pipe": "", "/dev/full": "2>/dev/full", "closed": "2>&-"}[target]
    writer = closed()
    shell = ["sh", "-c", f'exec "$@" {redirect}', "sh"]
    done = subprocess.run([*shell, *command], stdout=subprocess.PIPE, stderr=writer, timeout=500)
    os.close(writer)
    assert done.returncode == 2 and files("reconstructions") == ["a.png"]


NAMES = [b"two words.png", b"new\nline.png", "\U0001f600.png".encode(), b"\x1b[31mred.png", b"-n.png", b"\xff\xfe.png"]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(capsys: Capture, name: bytes) -> None:
    """Non-UTF-8 names were unreadable."""
    text = os.fsdecode(name)
    draw(Path("in") / text)
    out, err = run(capsys, "sense", "in")
    assert "\x1b" not in out + err and out.count("\n") == 1
    document = results(capsys, "reconstruct", "measurements", *FAST[:2], "--compare")
    assert len(document["results"]) == 1 and len(files("reconstructions")) == 2
    document = results(capsys, "eval", "in", "--ratio=0.3", *FAST, "-o", "scores")
    assert document["error"] is None and json.loads(Path("scores/scores.json").read_bytes())["results"]
    run(capsys, "eval", "in", "--ratio=0.3", *FAST)
    os.chdir("in")
    run(capsys, "reconstruct", *FAST, "--", text)


def test_names_that_fail(capsys: Capture) -> None:
    """Escaped in messages."""
    for name in NAMES:
        Path("in").mkdir(exist_ok=True)
        (Path("in") / os.fsdecode(name)).write_bytes(b"no picture")
    err = run(capsys, "reconstruct", "in", *FAST, code=2)[1]
    assert "\x1b" not in err and "\\x1b[31mred.png" in err and f"{len(NAMES)} of {len(NAMES)} files failed" in err


def test_a_locale_without_utf_8() -> None:
    draw("\u56fe.png", (32, 32))
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "TERM": "dumb"}
    done = subprocess.run([*IDM, "sense", ".", "--quiet"], env=environment, capture_output=True, timeout=500)
    assert (done.returncode, done.stderr) == (0, b"") and b"\x1b" not in done.stdout
