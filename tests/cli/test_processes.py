"""torchrun with the real commands: one voice, one folder, the results of one process."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from idmcli.cli import main
from idmcli.distributed import Processes
from tests.cli.photos import draw_photos

TINY = {
    "model.channels": "[8, 16]",
    "model.blocks": "[1, 1]",
    "training.iterations": 40,
    "training.batch": 4,
    "training.patch": 16,
    "training.warmup": 1,
    "training.log_every": 1,
    "training.threads": 1,
}
SETTINGS = [part for key, value in TINY.items() for part in ("--set", f"{key}={value}")]
TRAIN = ["train", "--data", "photos", "--device", "cpu"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures in ``photos``."""
    monkeypatch.chdir(tmp_path)
    draw_photos()
    return tmp_path


def torchrun(*arguments: str) -> subprocess.Popen[str]:
    """``idm`` in two processes."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "idmcli"]
    return subprocess.Popen(
        [*command, *arguments],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def child_of(process: subprocess.Popen[str], rank: int) -> int:
    """The process id of a rank."""
    for entry in Path("/proc").iterdir():
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1]) if entry.name.isdigit() else 0
            if parent == process.pid and f"\0LOCAL_RANK={rank}\0" in f"\0{(entry / 'environ').read_text()}\0":
                return int(entry.name)
        except OSError:  # it has ended
            continue
    raise AssertionError(f"rank {rank} is not there")


def said(err: str) -> list[str]:
    """The lines that idm wrote to stderr, without torchrun's."""
    return [line for line in err.splitlines() if line.startswith(("error:", "hint:", "warning:", "iteration"))]


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="needs /proc")
def test_a_signal_to_any_process_stops_all_and_another_number_of_them_goes_on() -> None:
    process = torchrun(*TRAIN, *SETTINGS, "--set", "training.workers=1", "--out", "two")
    while not Path("two/metrics.csv").exists():
        assert process.poll() is None
        time.sleep(0.02)
    os.kill(child_of(process, 1), signal.SIGTERM)
    out, err = process.communicate(timeout=500)
    assert process.returncode and out == ""
    assert [line for line in said(err) if line.startswith(("error", "hint"))] == [
        "hint: stopped and saved; continue with: idm train --resume --out two --data=photos",
        "error: stopped by SIGTERM",
    ]
    done = torch.load("two/checkpoint.pt", weights_only=True)["iteration"]
    assert 1 <= done < 40 and not Path("two/weights.safetensors").exists()

    assert main([*TRAIN, "--resume", "--out", "two", "--quiet"]) == 0
    assert main([*TRAIN, *SETTINGS, "--out", "one", "--quiet"]) == 0
    one, two = (torch.load(f"{name}/checkpoint.pt", weights_only=True) for name in ("one", "two"))
    assert one["iteration"] == two["iteration"] == 40
    for name, tensor in one["model"].items():
        torch.testing.assert_close(two["model"][name], tensor, rtol=1e-2, atol=1e-3)
    logs = []
    for name in ("one", "two"):
        with open(f"{name}/metrics.csv", newline="") as file:
            logs.append([(int(row["iteration"]), float(row["loss"])) for row in csv.DictReader(file)])
    assert [number for number, _ in logs[1]] == list(range(1, 41))
    assert [loss for _, loss in logs[1]] == pytest.approx([loss for _, loss in logs[0]], rel=1e-3)


def test_pictures_are_shared_and_the_table_is_that_of_one_process(capsys: pytest.CaptureFixture[str]) -> None:
    Path("photos/1b.png").write_bytes(b"\x89PNG\r\n\x1a\n")  # the second of four: of the second process
    command = ["eval", "photos", "--method", "pinv,tikhonov", "--ratio", "0.25,0.5", "--set", "operator.block=8"]
    process = torchrun(*command, "--out", "two", "--json")
    out, err = process.communicate(timeout=500)
    assert main([*command, "--out", "one", "--json"]) == 2
    expected, found = json.loads(capsys.readouterr().out), json.loads(out)
    assert found["error"] == expected["error"] and "1 of 4 files failed" in found["error"]["message"]
    assert sum("'photos/1b.png'" in line for line in said(err)) == 1

    def key(result: dict[str, object]) -> tuple[object, ...]:
        return tuple(value for name, value in result.items() if name != "seconds")

    for part in ("results", "warnings"):
        assert len(found[part]) == len(expected[part])
    assert sorted(map(repr, map(key, found["results"]))) == sorted(map(repr, map(key, expected["results"])))
    tables = []
    for name in ("one", "two"):
        with open(f"{name}/scores.csv", newline="") as file:
            tables.append([{**row, "seconds": ""} for row in csv.DictReader(file)])
        assert json.loads(Path(f"{name}/scores.json").read_text())["summary"][0]["n"] == 3
    assert tables[0] == tables[1]


def test_what_cannot_be_shared_is_refused_before_anything_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Processes, "of_environment", lambda device, environment: Processes(device, 0, 2))
    monkeypatch.setattr(Processes, "connected", lambda processes: nullcontext())
    monkeypatch.setattr(Processes, "gather", lambda processes, value: [value, value])
    assert main(["train", "--data", "nowhere", *SETTINGS, "--set", "training.batch=3", "--out", "run"]) == 2
    assert said(capsys.readouterr().err) == [
        "error: training.batch = 3 cannot be shared by 2 processes",
        "hint: make it a multiple of 2",
    ]
    assert not Path("run").exists()
