"""The fastest plan that fits a budget."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise

import pytest
import torch

from idmcli.config import Config, TaskConfig, TrainingConfig
from idmcli.errors import ResourceError
from idmcli.learned.idm import IDMSettings
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import NAMED, Plan, named_plan
from idmcli.reversible.planner import candidates, choose_plan, describe, extra_passes
from idmcli.tasks.cs import CompressedSensingOptions

PLAIN, UNET, BOTH = (NAMED[name] for name in ("plain", "unet", "both"))
CPU = torch.device("cpu")
CONFIG = Config(
    task=TaskConfig(channels=1),
    operator=CompressedSensingOptions(ratio=0.25, block=16),
    model=IDMSettings(steps=4, channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(batch=2, patch=32, memory="auto"),
)


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


def test_words() -> None:
    assert describe(named_plan("plain", 3)) == "plain in all steps"
    assert describe((UNET,)) == "unet in step 1"
    assert describe((BOTH, BOTH, UNET, PLAIN)) == "both in steps 1 to 2, unet in step 3, plain in step 4"
