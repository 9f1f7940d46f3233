"""``idm benchmark-memory``: the tables, what they are made of, and what is refused."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

from idmcli.cli import main
from idmcli.cli.benchmark_memory import parse_sweep
from idmcli.config import Config, load_config
from idmcli.errors import InputError
from idmcli.memory.measured import measure_apart
from idmcli.memory.report import largest
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import NAMED, named_plan

Capture = pytest.CaptureFixture[str]
SETTINGS = ["model.channels=[8, 16]", "model.blocks=[1, 1]", "operator.block=16", "operator.ratio=0.25"]
TINY = ["--size", "tiny", "--patch", "32", "--batch", "2", *(part for s in SETTINGS for part in ("--set", s))]
ONE_SCALE = ["model.channels=[8]", "model.blocks=[1]"]
LEAST = [part for s in ONE_SCALE for part in ("--set", s)]
PARTS = ("parameters", "average", "optimiser", "gradients", "activations", "temporaries")


def document(capsys: Capture, *arguments: str, code: int = 0, command: str = "bench-memory") -> dict[str, Any]:
    assert main([command, *TINY, *arguments, "--json"]) == code
    found = json.loads(capsys.readouterr().out)
    assert isinstance(found, dict)
    return found


def configured(*changes: str) -> Config:
    """What the options ``TINY`` make."""
    fixed = ["model.size=tiny", "training.batch=2", "training.patch=32", "training.precision=float32"]
    return load_config("cs", None, [*SETTINGS, *fixed, *changes]).config


def failed(capsys: Capture, *arguments: str, code: int = 2) -> str:
    """The one line that says what is wrong."""
    assert main(["bench-memory", *TINY, *arguments]) == code
    out, err = capsys.readouterr()
    assert out == "" and err.count("error:") == 1 and "Traceback" not in err and "internal" not in err
    return err.splitlines()[0]


def test_one_row_for_each_plan(capsys: Capture) -> None:
    found = document(capsys, "--T", "3")
    rows = found["results"]
    assert [row["plan"] for row in rows] == list(NAMED)
    assert found["inputs"]["config"]["training"]["precision"] == "float32"
    plain = rows[0]
    for row in rows:
        assert row["peak"] == sum(row[part] for part in PARTS)
        assert row["step"] == row["activations"] + row["temporaries"]
        assert row["saving"] == 1 - row["peak"] / plain["peak"]
        assert row["saving_activations"] == 1 - row["activations"] / plain["activations"]
        assert row["measured"] is None and row["time_ratio"] is None  # nothing is invented on a CPU
    assert {row["plan"]: row["passes_fraction"] for row in rows} == {
        "plain": "1",
        "checkpoint": "4/3",
        "unet": "4/3",
        "sampler": "11/9",
        "both": "14/9",
    }


def test_the_table_says_what_it_is(capsys: Capture) -> None:
    assert main(["benchmark-memory", *TINY, "--T", "3", "--optimizer", "muon", "--dtype", "bf16"]) == 0
    title, header, rule, plain, *rest = capsys.readouterr().out.splitlines()
    assert title == (
        "cs: tiny [8, 16] network, T = 3, batch 2, 32 x 32 pixels, bf16, muon, "
        f"torch {torch.__version__}; in MiB, computed"
    )
    assert header.split()[:8] == ["plan", *PARTS, "peak"] and plain.split()[0] == "plain"
    numbers = [float(cell) for cell in plain.split()[1:]]
    assert numbers[6] == pytest.approx(sum(numbers[:6]), abs=0.03) and numbers[7:] == [0.0, 0.0, 1.0]
    assert "time" not in header and "93.8 %" in rest[-1] and rest[-2].startswith("Computed: ")


def test_the_alias_is_the_command(capsys: Capture) -> None:
    names = ("benchmark-memory", "bench-memory")
    first, second = (document(capsys, "--T", "1", *LEAST, command=name) for name in names)
    assert first["results"] == second["results"]
    assert (first["command"], second["command"]) == names
    assert main(["--help"]) == 0
    listed = capsys.readouterr().out
    assert "benchmark-memory" in listed and "bench-memory" not in listed.replace("benchmark-memory", "")


def test_options_reach_the_configuration(capsys: Capture) -> None:
    def peak(*options: str) -> int:
        return int(document(capsys, "--T", "1", *LEAST, *options)["results"][0]["peak"])

    base = peak()
    assert peak("--batch", "4", "--patch", "40") > 2 * base
    assert peak("--dtype", "bf16") < base
    assert peak("--optimizer", "muon", "--set", "model.injector_kernel=3") != base


def test_a_preset_keeps_its_values(capsys: Capture, folder: Path) -> None:
    assert main(["bench-memory", "--preset", "cs-tiny", "--T", "1", "--patch", "32", "--print-config"]) == 0
    shown = capsys.readouterr().out
    assert 'size = "tiny"' in shown and "batch = 4" in shown and "patch = 32" in shown and "--patch" in shown
    Path("mine.toml").write_text('[training]\nstage = "prior"\n')
    assert main(["bench-memory", "--config", "mine.toml"]) == 2
    assert 'memory is computed for model.kind csnet-plus, idm, rk-ccsnet, not "prior"' in capsys.readouterr().err


def test_the_reference_is_the_network_of_the_paper(capsys: Capture) -> None:
    assert main(["bench-memory", "--T", "12", "--print-config"]) == 0
    shown = capsys.readouterr().out
    for line in ('size = "full"', "steps = 12", "batch = 4", "patch = 128", 'precision = "float32"'):
        assert line in shown


def test_a_sweep_and_its_slope(capsys: Capture) -> None:
    found = document(capsys, "--sweep", "T=2,4,3")
    assert [(row["T"], row["plan"]) for row in found["results"]] == [(t, name) for t in (2, 3, 4) for name in NAMED]
    growth = found["summary"]["bytes_per_step"]
    assert growth["both"]["activations"] == growth["both"]["step"] == 4 * 2 * 32 * 32  # an image
    assert growth["plain"]["activations"] > 50 * growth["both"]["activations"]
    peaks = {(row["T"], row["plan"]): row["peak"] for row in found["results"]}
    assert growth["unet"]["peak"] == (peaks[4, "unet"] - peaks[2, "unet"]) / 2


def test_the_table_of_a_sweep(capsys: Capture) -> None:
    assert main(["bench-memory", *TINY, *LEAST, "--sweep", "T=1..2"]) == 0
    title, header, _, one, two, slope, _ = capsys.readouterr().out.splitlines()
    assert "T =" not in title and header.split() == ["T", *NAMED]
    assert one.split()[0] == "1" and two.split()[0] == "2" and slope.startswith("per step  ") and "KiB" in slope


def test_the_largest_batch(capsys: Capture) -> None:
    found = document(capsys, "--T", "2", "--fit", "1MiB", *LEAST)
    config = configured("model.steps=2", *ONE_SCALE)
    computed = ComputedStep(config)
    for row in found["results"]:
        plan = named_plan(row["name"], 2)
        assert computed.memory(plan, row["batch"]).peak == row["peak"] <= 2**20
        assert computed.memory(plan, row["batch"] + 1).peak > 2**20
    batches = {row["name"]: row["batch"] for row in found["results"]}
    assert batches["plain"] < batches["unet"] < batches["both"]
    assert found["summary"]["budget"] == 2**20


def test_a_budget_for_nothing(capsys: Capture) -> None:
    line = failed(capsys, "--T", "2", "--fit", "100KiB", code=4)
    assert line.startswith("error: 100.00 KiB is not enough: one crop needs ") and "in the leanest plan, both" in line
    line = failed(capsys, "--T", "2", "--budget", "100KiB", code=4)
    assert "needs" in line and "100.00 KiB may be used" in line


@pytest.mark.parametrize(("slope", "offset"), [(7, 100), (1, 0), (1000, 3)])
def test_the_search_for_the_largest_batch(slope: int, offset: int) -> None:
    asked: list[int] = []

    def peak(batch: int) -> int:
        asked.append(batch)
        return offset + slope * batch + batch % 3

    for budget in (0, 50, 999, 12345, 10**9):
        asked.clear()
        batch, size = largest(budget, peak, limit=500)
        fits = [b for b in range(1, 501) if offset + slope * b + b % 3 <= budget]
        assert batch == (max(fits) if fits else 0) and size == peak(batch or 1)
        assert len(asked) <= 8


def test_a_budget_adds_the_plan_that_fits(capsys: Capture) -> None:
    rows = {row["plan"]: row for row in document(capsys, "--T", "2")["results"]}
    found = document(capsys, "--T", "2", "--budget", str(rows["unet"]["peak"] + 1000))["results"][-1]
    assert found["plan"] == "auto" and found["peak"] == rows["unet"]["peak"] and found["steps"] == "unet in all steps"
    assert main(["bench-memory", *TINY, "--T", "2", "--budget", "1GiB"]) == 0
    assert "auto: plain in all steps." in capsys.readouterr().out


def test_the_gate(capsys: Capture) -> None:
    document(capsys, "--sweep", "T=1,3", "--max-ratio", "0.5")
    found = document(capsys, "--T", "3", "--max-ratio", "0.1", code=1)
    assert len(found["results"]) == 5  # the table comes first
    assert found["error"]["message"].startswith("activations and temporaries of plan both are 0.3")
    assert found["error"]["message"].endswith("more than --max-ratio 0.1")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--fit", "11GX"], "--fit '11GX' is not a size such as 15GiB, 800MB or 2e9"),
        (["--budget", "-1"], "--budget '-1' is not a size"),
        (["--T", "0"], "Invalid value for '--T': "),
        (["--sweep", "T=12..1"], "--sweep 'T=12..1' has no T"),
        (["--sweep", "T=0,3"], "--sweep 'T=0,3' has no T, or one that is not from 1 to 1000"),
        (["--sweep", "1..3"], "--sweep '1..3' is not a range of T"),
        (["--sweep", "T=1..2", "--T", "3"], "--T and --sweep both set the number of steps"),
        (["--sweep", "T=1..2", "--fit", "1GiB"], "three different tables"),
        (["--fit", "1GiB", "--max-ratio", "0.5"], "--max-ratio compares plans with one batch"),
        (["--plot", "a.png"], "--plot draws a sweep"),
        (["--batch", "0"], "Invalid value for '--batch': "),
        (["--dtype", "float16"], "Invalid value for '--dtype': "),
        (["--optimizer", "sgd"], "Invalid value for '--optimizer': "),
        (["--set", "model.channels=[8, 17]"], "injectors need a multiple of 16"),
    ],
)
def test_wrong_usage(capsys: Capture, options: list[str], expected: str) -> None:
    assert expected in failed(capsys, *options)


def test_sweeps() -> None:
    assert parse_sweep("T=1..4") == [1, 2, 3, 4]
    assert parse_sweep("T = 12, 1,3,3") == [1, 3, 12]
    assert parse_sweep(None) == []
    for text in ("", "T=", "T=1..", "T=a", "T=1..3..5", "T=1001", "T=0"):
        with pytest.raises(InputError):
            parse_sweep(text)


def test_plots(capsys: Capture, folder: Path) -> None:
    sweep = ["--sweep", "T=1,2", *LEAST]
    assert "is of no known kind" in failed(capsys, *sweep, "--plot", "memory.jpg")
    if find_spec("matplotlib") is None:
        assert "needs matplotlib" in failed(capsys, *sweep, "--plot", "memory.png")
        return
    for name, start in (("memory.png", b"\x89PNG"), ("memory.svg", b"<?xml"), ("memory.pdf", b"%PDF")):
        document(capsys, *sweep, "--plot", name)
        assert Path(name).read_bytes().startswith(start)
    assert "exists already" in failed(capsys, *sweep, "--plot", "memory.png")
    document(capsys, *sweep, "--plot", "memory.png", "--overwrite")


def test_a_step_is_measured_in_a_process_of_its_own(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = measure_apart(configured(), named_plan("both", 3), torch.device("cpu"))
    assert found is not None and found.milliseconds > 0
    assert found.allocated is None and found.reserved is None  # a CPU has no such counters
    python = folder / "python"
    python.write_text("#!/bin/sh\necho first >&2\necho no such driver >&2\nexit 3\n")
    python.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(python))
    with pytest.raises(RuntimeError, match="the measuring process failed: no such driver"):
        measure_apart(configured(), named_plan("both", 3), torch.device("cpu"))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_on_a_gpu_the_plans_are_measured(capsys: Capture) -> None:
    rows = document(capsys, "--T", "3", "--batch", "16", "--patch", "128", "--device", "cuda")["results"]
    for row in rows:
        assert row["measured"]["reserved"] >= row["measured"]["allocated"] > 0.5 * row["peak"]
        assert row["time_ratio"] > 0.5
