"""The plan of a training: the one that is named, or the fastest that fits a budget."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from idmcli.cli import main
from idmcli.config import Config, TaskConfig, TrainingConfig, load_config
from idmcli.distributed import Processes
from idmcli.errors import ResourceError
from idmcli.io.images import write_image
from idmcli.learned.idm import IDMSettings
from idmcli.memory import budget
from idmcli.memory.budget import free_memory, memory_plan
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import named_plan
from idmcli.reversible.planner import candidates
from idmcli.tasks.cs import CompressedSensingOptions

CPU = torch.device("cpu")
CONFIG = Config(
    task=TaskConfig(channels=1),
    operator=CompressedSensingOptions(ratio=0.25, block=16),
    model=IDMSettings(steps=3, channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(batch=2, patch=32, memory="auto"),
)


def budgeted(budget: int | None) -> Config:
    return replace(CONFIG, training=replace(CONFIG.training, memory_budget=budget))


def test_the_plan_of_a_training() -> None:
    computed = ComputedStep(CONFIG)
    plans = candidates(3)
    told: list[str] = []
    for plan in (plans[0], plans[2]):
        peak = computed.memory(plan).peak
        assert memory_plan(budgeted(peak), Processes(CPU), told.append) == plan
    assert told[1].startswith("memory plan: unet in steps 1 to 2, plain in step 3; computed peak ")
    with pytest.raises(ResourceError, match="in the leanest memory plan, and 64.00 KiB may be used"):
        memory_plan(budgeted(2**16), Processes(CPU))


def test_processes_and_parts_divide_the_batch() -> None:
    """Sixteen crops of two processes in four parts each take what a batch of two does."""
    plan = named_plan("unet", 3)
    shared = replace(CONFIG, training=replace(CONFIG.training, batch=16, accumulate=4))
    assert ComputedStep(shared, processes=2).memory(plan) == ComputedStep(CONFIG).memory(plan)
    assert ComputedStep(shared).memory(plan) == ComputedStep(CONFIG).memory(plan, 4)


def test_a_plan_by_name_needs_no_computation() -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, memory="sampler"))
    assert memory_plan(config, Processes(CPU), pytest.fail) == named_plan("sampler", 3)


def test_without_a_budget_nine_tenths_of_the_free_memory_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = ComputedStep(CONFIG).memory(candidates(3)[2]).peak
    monkeypatch.setattr(budget, "free_memory", lambda device: -(-peak * 10 // 9))
    assert memory_plan(budgeted(None), Processes(CPU)) == candidates(3)[2]
    monkeypatch.setattr(budget, "free_memory", lambda device: -(-peak * 20 // 9))
    assert memory_plan(budgeted(None), Processes(CPU, 0, 1, 2)) == candidates(3)[2]  # shared with a neighbour


def test_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**26 < free_memory(CPU) < 2**46

    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert 2**26 < free_memory(CPU) < 2**46


NETWORK = ["model.channels=[8, 16]", "model.blocks=[1, 1]", "operator.block=16"]
RUN = ["training.iterations=1", "training.batch=2", "training.patch=16", "training.warmup=1"]
SETTINGS = [part for setting in [*NETWORK, *RUN] for part in ("--set", setting)]


def train(folder: Path, *arguments: str, kind: str = "idm") -> int:
    (folder / "photos").mkdir(exist_ok=True)
    for name in "ab":
        write_image(folder / "photos" / f"{name}.png", np.random.default_rng(0).random((32, 32)))
    own = [f"model.kind={kind}", *(["model.steps=2"] if kind == "idm" else [])]
    return main(["train", "--data", "photos", *SETTINGS, *(p for one in own for p in ("--set", one)), *arguments])


def test_training_within_a_budget(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(folder, "--memory-budget", "1GiB", "--out", "wide") == 0
    assert "memory plan: plain in all steps; computed peak " in capsys.readouterr().err
    found = load_config(None, folder / "wide" / "config.toml").config
    assert (found.training.memory, found.training.memory_budget) == ("auto", 2**30)
    leanest = ComputedStep(found).memory(named_plan("both", 2)).peak
    assert train(folder, "--memory-budget", f"{leanest}", "--out", "narrow") == 0
    assert "memory plan: both in step 1, unet in step 2; computed peak " in capsys.readouterr().err
    assert train(folder, "--resume", "--set", "training.iterations=2", "--out", "narrow") == 0
    assert "both in step 1" in capsys.readouterr().err


def test_training_with_too_small_a_budget_ends_before_it_begins(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(folder, "--memory-budget", "50KB", "--out", "run") == 4
    message = capsys.readouterr().err
    assert "error: one training step needs " in message and "48.83 KiB may be used" in message
    assert not Path("run").exists()


@pytest.mark.parametrize(
    ("arguments", "kind", "expected"),
    [
        (["--memory-budget", "15GX"], "idm", "--memory-budget '15GX' is not a size such as 15GiB"),
        (["--memory-budget", "15GiB"], "prior", "a prior has no memory plans"),
        (["--set", "training.memory_budget=1GX"], "idm", "expected a size such as 15GiB, 800MB or 2e9"),
        (["--set", "training.memory_budget=1GiB"], "idm", 'a budget needs memory = "auto"'),
    ],
)
def test_budgets_that_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], kind: str, expected: str
) -> None:
    assert train(folder, *arguments, kind=kind) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert expected in line
