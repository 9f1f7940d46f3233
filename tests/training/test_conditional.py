"""The stage of noise estimators that see the measurements: what they are shown, their loss and their validation."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli.config import load_config
from idmcli.operators import Operator, Problem
from idmcli.runs.build import build_stage
from idmcli.training.conditional import ConditionalStage
from tests.small import camera

IMAGES = [camera(40)[0].numpy(), np.flip(camera(40, 2)[0].numpy(), 2).copy()]
CPU = torch.device("cpu")


class Known:
    """Estimates the true noise times a factor, of crops it is told, noting what it was shown."""

    mean = 0.45

    def __init__(self, factor: float = 1.0) -> None:
        self.factor = factor
        self.x = torch.zeros(())
        self.seen: list[Tensor] = []

    def __call__(self, r: Tensor, sigma: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        self.seen.append(condition)
        e = self.factor * (r - (self.x - self.mean)) / sigma
        return r - sigma * e, e


def stage(*settings: str) -> ConditionalStage:
    chosen = ["training.patch=32", "model.kind=sr3", *settings]
    built = build_stage(load_config(overrides=chosen).config, IMAGES, CPU)
    assert isinstance(built, ConditionalStage)
    return built


def loss_of(stage: ConditionalStage, model: Any, iteration: int, numbers: range) -> tuple[float, float]:
    drawn = stage.draw(numbers)
    model.x = drawn.x
    loss, score = stage.loss(model, iteration, numbers, drawn)
    return float(loss), score


@pytest.mark.parametrize(("name", "expected"), [("l1", 0.798), ("l2", 1.0)])
def test_the_loss_is_the_error_of_the_unit_noise(name: str, expected: float) -> None:
    conditional = stage(f"training.loss={name}")
    loss, score = loss_of(conditional, Known(), 0, range(4))
    assert loss < 1e-4 and score > 60
    assert loss_of(conditional, Known(0.0), 0, range(16))[0] == pytest.approx(expected, rel=0.03)


def shares_shown(conditional: ConditionalStage, model: Known, iterations: range) -> list[float]:
    """The power of what a model is shown of the same crops, as a share of theirs: about what is measured of them."""
    for iteration in iterations:
        loss_of(conditional, model, iteration, range(4))
    return [float(seen.square().mean() / (model.x - model.mean).square().mean()) for seen in model.seen]


def test_it_is_shown_the_pseudo_inverse_under_a_fresh_operator_in_each_iteration() -> None:
    """With more or less measured, from ratio_min to ratio_max; the same again for an iteration that is done again."""
    shares = shares_shown(stage(), model := Known(), range(40))
    assert 0 < min(shares) < 0.15 and 0.4 < max(shares) < 0.65
    fixed = shares_shown(stage("operator.ratio=0.3"), Known(), range(6))
    assert fixed == pytest.approx([0.3] * 6, rel=0.2)
    loss_of(stage(), model, 39, range(4))
    assert torch.equal(model.seen[-1], model.seen[39]) and not torch.equal(model.seen[1], model.seen[39])


@pytest.mark.parametrize("task", ["cs", "ct", "sr", "hdr"])
def test_what_is_shown_is_what_a_solver_will_see(task: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first guess of a problem with the noise of [operator]."""
    problems: list[Problem[Operator]] = []
    guess = Problem.first_guess
    monkeypatch.setattr(Problem, "first_guess", lambda problem, mean: problems.append(problem) or guess(problem, mean))
    loss_of(stage(f"task.kind={task}", "operator.noise=0.05"), model := Known(), 3, range(2))
    (problem,) = problems
    assert problem.noise == 0.05 and problem.operator.kind == task
    noise = problem.y - problem.operator.A(model.x)
    assert float(noise.std()) == pytest.approx(0.05, rel=0.1)
    torch.testing.assert_close(model.seen[0], guess(problem, 0.45) - 0.45)


def test_validation_scores_each_of_the_tasks_ratios() -> None:
    conditional, model = stage(), Known()
    model.x = conditional.denoising.validation.centre()
    found = conditional.validate(model)  # type: ignore[arg-type]
    assert list(found.scores) == ["psnr_ratio_0.10", "psnr_ratio_0.30", "psnr_ratio_0.50"]
    assert min(found.scores.values()) > 60
    assert list(found.pictures) == ["truth", "ratio 0.10", "ratio 0.30", "ratio 0.50"]
    powers = [float(seen.square().mean()) for seen in model.seen]
    assert powers == sorted(powers) and powers[2] > 3 * powers[0]
    assert conditional.validate(model).scores == found.scores  # type: ignore[arg-type]
