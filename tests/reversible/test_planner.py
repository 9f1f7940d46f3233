"""The fastest plan that fits a budget."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch

from idmcli.cli import main
from idmcli.config import Config, ModelConfig, OperatorConfig, TaskConfig, TrainingConfig, load_config
from idmcli.errors import ResourceError
from idmcli.io.images import write_image
from idmcli.reversible.plan import NAMED, Plan, named_plan
from idmcli.reversible.planner import candidates, choose_plan, describe, extra_passes
from idmcli.training import build
from idmcli.training.build import free_memory, memory_plan
from idmcli.training.step_memory import ComputedStep

PLAIN, UNET, BOTH = (NAMED[name] for name in ("plain", "unet", "both"))
CPU = torch.device("cpu")
CONFIG = Config(
    task=TaskConfig(channels=1),
    operator=OperatorConfig(ratio=0.25, block=16),
    model=ModelConfig(steps=4, channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(stage="end-to-end", batch=2, patch=32, memory="auto"),
)


def budgeted(budget: int | None) -> Config:
    return replace(CONFIG, training=replace(CONFIG.training, memory_budget=budget))


def test_candidates_go_from_plain_to_both() -> None:
    assert candidates(3) == [
        (PLAIN, PLAIN, PLAIN),
        (UNET, PLAIN, PLAIN),
        (UNET, UNET, PLAIN),
        (UNET, UNET, UNET),
        (BOTH, UNET, UNET),
        (BOTH, BOTH, UNET),
    ]
    assert candidates(1) == [(PLAIN,), (UNET,)]
    for steps in (1, 2, 12):
        plans = candidates(steps)
        assert plans[0] == named_plan("plain", steps) and plans[-1] == named_plan("both", steps)


def test_each_candidate_is_slower_and_leaner_than_the_one_before() -> None:
    computed = ComputedStep(CONFIG)
    plans = candidates(4)
    peaks = [computed.memory(plan).peak for plan in plans]
    assert all(a > b for a, b in pairwise(peaks))
    assert all(extra_passes(a) < extra_passes(b) for a, b in pairwise(plans))


def test_the_first_that_fits_is_chosen() -> None:
    plans = candidates(12)
    peaks = {plan: 1000 - 10 * number for number, plan in enumerate(plans)}
    asked: list[Plan] = []

    def peak(plan: Plan) -> int:
        asked.append(plan)
        return peaks[plan]

    for number, plan in enumerate(plans):
        for budget in (peaks[plan], peaks[plan] + 9):
            asked.clear()
            assert choose_plan(12, budget, peak) == (plan, peaks[plan])
            assert len(asked) <= (2 if number == 0 else 7)
    assert choose_plan(12, 10**6, peak) == (plans[0], 1000)


def test_nothing_fits() -> None:
    with pytest.raises(ResourceError) as caught:
        choose_plan(3, 2**30, lambda plan: 3 * 2**29)
    assert caught.value.message == (
        "one training step needs 1.50 GiB in the leanest memory plan, and 1.00 GiB may be used"
    )
    assert "smaller training.batch" in caught.value.hint and caught.value.exit_code == 4


def test_passes() -> None:
    def passes(name: str, steps: int) -> Fraction:
        return extra_passes(named_plan(name, steps))  # type: ignore[arg-type]

    assert passes("plain", 5) == 1
    assert passes("unet", 5) == passes("checkpoint", 5) == Fraction(4, 3)
    assert passes("sampler", 12) == Fraction(11 * 4 + 3, 36)
    assert passes("both", 12) == Fraction(11 * 5 + 4, 36)
    assert extra_passes((UNET, PLAIN, PLAIN)) == Fraction(10, 9)
    # a probe is one more forward pass, and the first level repeats it
    assert extra_passes(named_plan("unet", 2), probes=True) == Fraction(5 + 4, 4 + 3)
    assert extra_passes(named_plan("both", 2), probes=True) == Fraction(7 + 4, 4 + 3)


def test_words() -> None:
    assert describe(named_plan("plain", 3)) == "plain in all steps"
    assert describe((UNET,)) == "unet in step 1"
    assert describe((BOTH, BOTH, UNET, PLAIN)) == "both in steps 1 to 2, unet in step 3, plain in step 4"


def test_the_plan_of_a_training() -> None:
    computed = ComputedStep(CONFIG)
    plans = candidates(4)
    told: list[str] = []
    for plan in (plans[0], plans[3]):
        peak = computed.memory(plan).peak
        assert memory_plan(budgeted(peak), CPU, told.append) == plan
    assert told[1].startswith("memory plan: unet in steps 1 to 3, plain in step 4; computed peak ")
    with pytest.raises(ResourceError, match="in the leanest memory plan, and 64.00 KiB may be used"):
        memory_plan(budgeted(2**16), CPU)


def test_a_plan_by_name_needs_no_computation() -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, memory="sampler"))
    assert memory_plan(config, CPU, pytest.fail) == named_plan("sampler", 4)


def test_without_a_budget_nine_tenths_of_the_free_memory_may_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = ComputedStep(CONFIG).memory(candidates(4)[2]).peak
    monkeypatch.setattr(build, "free_memory", lambda device: -(-peak * 10 // 9))
    assert memory_plan(budgeted(None), CPU) == candidates(4)[2]


def test_free_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 2**26 < free_memory(CPU) < 2**46

    def missing(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(Path, "read_text", missing)
    assert 2**26 < free_memory(CPU) < 2**46


NETWORK = ["model.channels=[8, 16]", "model.blocks=[1, 1]", "model.steps=2", "operator.block=16"]
RUN = ["training.iterations=1", "training.batch=2", "training.patch=16", "training.warmup=1"]
SETTINGS = [part for setting in [*NETWORK, *RUN] for part in ("--set", setting)]


def train(folder: Path, *arguments: str, stage: str = "end-to-end") -> int:
    (folder / "photos").mkdir(exist_ok=True)
    for name in "ab":
        write_image(folder / "photos" / f"{name}.png", np.random.default_rng(0).random((32, 32)))
    return main(["train", "--data", "photos", *SETTINGS, "--set", f"training.stage={stage}", *arguments])


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
    ("arguments", "stage", "expected"),
    [
        (["--memory-budget", "15GX"], "end-to-end", "--memory-budget '15GX' is not a size such as 15GiB"),
        (["--memory-budget", "15GiB"], "prior", "the prior stage has no memory plans"),
        (["--set", "training.memory_budget=1GX"], "end-to-end", "expected a size such as 15GiB, 800MB or 2e9"),
        (["--set", "training.memory_budget=1GiB"], "end-to-end", 'a budget needs memory = "auto"'),
    ],
)
def test_budgets_that_are_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], stage: str, expected: str
) -> None:
    assert train(folder, *arguments, stage=stage) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error:")]
    assert expected in line
