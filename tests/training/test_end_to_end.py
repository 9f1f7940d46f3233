"""The reconstruction stage: a fresh operator for every batch, noise as configured, every task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from idmcli import learned, tasks
from idmcli.config import Config, TaskConfig, TrainingConfig, load_config
from idmcli.distributed import Processes
from idmcli.learned.idm import IDMSettings
from idmcli.memory.budget import memory_plan
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.operators import LinearOperator
from idmcli.reversible import engine
from idmcli.reversible.coupling import ReversibleGroup
from idmcli.reversible.plan import Plan
from idmcli.runs.build import build_stage
from idmcli.tasks.cs import CompressedSensingOptions
from idmcli.training.data import CropPool
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.loop import train
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step

CPU = torch.device("cpu")
SMALL = ["model.steps=3", "model.channels=[8, 32, 64]", "model.blocks=[2, 2, 2]"]
CONFIG = Config(
    model=IDMSettings(steps=1, channels=(8,), blocks=(1,)),
    operator=CompressedSensingOptions(block=8),
    training=TrainingConfig(batch=2, patch=16),
)


class Watch(nn.Module):
    """Reconstructs by A+ and keeps what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.given: list[tuple[Tensor, LinearOperator]] = []
        self.told: list[float] = []

    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None, noise: float = 0.0) -> Tensor:
        self.given.append((y, operator))
        self.told.append(noise)
        return operator.pinv(y)

    def reconstruct(self, y: Tensor, operator: LinearOperator, noise: float = 0.0) -> Tensor:
        return self.forward(y, operator, noise=noise)


def stage(config: Config = CONFIG, channels: int = 1) -> EndToEndStage:
    pool = CropPool([np.random.default_rng(0).random((channels, 24, 24), dtype=np.float32)], config.training.patch)
    return EndToEndStage(pool, pool, config, CPU)


def loss_of(stage: EndToEndStage, model: Any, iteration: int, numbers: Sequence[int]) -> tuple[Tensor, float]:
    return stage.loss(model, iteration, numbers, stage.draw(numbers))


def configured(**operator: Any) -> Config:
    return replace(CONFIG, operator=replace(CONFIG.operator, **operator))


def test_the_loss_is_the_error_of_the_image() -> None:
    for name, power in (("l1", 1), ("l2", 2)):
        model: Any = Watch()
        config = replace(configured(ratio=0.5), training=replace(CONFIG.training, loss=name))  # type: ignore[arg-type]
        chosen = stage(config)
        x = chosen.crops.crops(0, [14, 15])
        loss, score = loss_of(chosen, model, 7, [14, 15])
        y, operator = model.given[0]
        torch.testing.assert_close(y, operator.A(x))
        error = operator.pinv(y) - x
        torch.testing.assert_close(loss, error.abs().pow(power).mean())
        expected = -10 * error.add(x).clamp(0, 1).sub(x).square().flatten(1).mean(1).log10().mean()
        assert score == pytest.approx(expected.item(), abs=1e-4)


def test_ratios_are_drawn_where_none_is_set() -> None:
    model: Any = Watch()
    drawn = stage(configured(ratio_min=0.1, ratio_max=0.4))
    for iteration in range(30):
        loss_of(drawn, model, iteration, [0])
    ratios = [operator.ratio for _, operator in model.given]
    assert 0.09 < min(ratios) < 0.16 and 0.34 < max(ratios) < 0.42 and len(set(ratios)) > 8
    model.given.clear()
    for iteration in range(3):
        loss_of(stage(configured(ratio=0.25)), model, iteration, [0])
    assert {operator.ratio for _, operator in model.given} == {0.25}


def test_every_batch_has_an_operator_of_its_own_and_repeats_it() -> None:
    model: Any = Watch()
    for iteration in (0, 1, 0):
        loss_of(stage(configured(ratio=0.25)), model, iteration, [0])
    (y0, _), (y1, _), (again, _) = model.given
    assert torch.equal(y0, again) and not torch.allclose(y0, y1)
    seeds = [operator.to_spec()["permutation_seed"] for _, operator in model.given]
    assert seeds[0] == seeds[2] != seeds[1]


def test_noise_is_added_as_configured() -> None:
    model: Any = Watch()
    noisy = stage(configured(ratio=0.5, noise=0.2))
    for iteration in range(20):
        numbers = [2 * iteration, 2 * iteration + 1]
        loss_of(noisy, model, iteration, numbers)
        x = noisy.crops.crops(0, numbers)
        y, operator = model.given[iteration]
        model.given[iteration] = (y - operator.A(x), operator)
    noise = torch.cat([difference.flatten() for difference, _ in model.given])
    assert noise.std().item() == pytest.approx(0.2, rel=0.05)
    assert model.told == [0.2] * 20
    assert not torch.equal(model.given[0][0], model.given[1][0])
    clean = stage(configured(ratio=0.5))
    assert noisy.validate(model).scores != clean.validate(model).scores
    assert {0.2, 0.0} == set(model.told[20:]) and model.told[20] == 0.2


def test_validation_scores() -> None:
    model: Any = Watch()
    found = stage().validate(model)
    scores = found.scores
    assert list(scores) == ["psnr_ratio_0.11", "psnr_ratio_0.31", "psnr_ratio_0.50"]
    assert list(found.pictures) == ["truth", "ratio 0.11", "ratio 0.31", "ratio 0.50"]
    assert {tuple(x.shape) for x in found.pictures.values()} == {(1, 1, 16, 16)}
    assert list(stage(configured(ratio=0.25)).validate(model).scores) == ["psnr_ratio_0.25"]
    assert scores == stage().validate(model).scores and scores["psnr_ratio_0.50"] > scores["psnr_ratio_0.11"]


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("cs", {}),
        ("cs", {"permutation": "none", "block": 5}),
        ("inpainting", {}),
        ("inpainting", {"mask": "boxes", "boxes": ((2, 3, 4, 5),)}),
        ("mri", {}),
        ("mri", {"mask": "random-lines", "acceleration": 2.0}),
        ("mri", {"coils": 2}),
        ("ct", {"views": 5}),
        ("deblur", {"size": 5, "std": 0.8}),
        ("deblur", {"kernel": "motion", "size": 7}),
        ("sr", {"factor": 2}),
    ],
)
def test_one_step_of_every_task(kind: str, options: dict[str, Any]) -> None:
    defaults: dict[str, Any] = {"block": 8} if kind == "cs" else {}
    config = replace(CONFIG, task=TaskConfig(kind=kind), operator=tasks.find(kind).options(**(defaults | options)))
    model = learned.build(config)
    assert isinstance(model, InvertibleDiffusion)
    loss, score = loss_of(stage(config), model, 0, [0, 1])
    loss.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())
    assert np.isfinite(score) and all(np.isfinite(value) for value in stage(config).validate(model).scores.values())


def test_colour() -> None:
    config = replace(configured(ratio=0.5), task=TaskConfig(channels=3))
    model = learned.build(config)
    loss, _ = loss_of(stage(config, channels=3), model, 0, [0, 1])  # type: ignore[arg-type]
    assert bool(loss.isfinite())


def test_the_reversible_engine_trains_by_default_and_as_plain_autograd_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A small network of the preset, six iterations with each: the same weights up to rounding."""
    inverted: list[int] = []
    check = engine.check_drift

    def watch(group: ReversibleGroup, found: tuple[Tensor, ...], known: tuple[Tensor, ...], limit: float) -> None:
        inverted.append(len(group.modules_))
        check(group, found, known, limit)

    monkeypatch.setattr(engine, "check_drift", watch)
    preset = load_config("cs-tiny", overrides=[*SMALL, "training.precision=float32"]).config
    common = {"iterations": 6, "batch": 2, "patch": 32, "warmup": 0, "learning_rate": 1e-3, "ema": 0.5}
    weights, losses, inversions = {}, {}, {}
    for memory in (preset.training.memory, "plain"):
        config = replace(preset, training=replace(preset.training, **common, memory=memory))
        images = [np.random.default_rng(0).random((1, 48, 48), dtype=np.float32) for _ in range(4)]
        model = learned.build(config)
        stage = build_stage(config, images, CPU, memory_plan(config, Processes(CPU)))
        step, run = Step(model, config.training), RunFolder(tmp_path / memory)
        with run.locked():
            last = train(step, stage, run, Processes(CPU), lambda line: None, Progress())
        weights[memory], losses[memory] = dict(model.state_dict()), last.loss if last else 0.0
        inversions[memory] = len(inverted)
        inverted.clear()
    assert preset.training.memory == "unet"
    assert inversions["unet"] > 0 and inversions["plain"] == 0
    start = learned.build(preset).state_dict()
    moved = torch.cat([(weights["plain"][name] - value).flatten() for name, value in start.items()]).norm()
    apart = torch.cat([(weights["unet"][name] - value).flatten() for name, value in weights["plain"].items()]).norm()
    assert apart < 1e-3 * moved
    assert losses["unet"] == pytest.approx(losses["plain"], rel=1e-5)


def test_views_are_drawn_for_every_batch_of_ct_tiny() -> None:
    small = [
        "operator.views_min=3",
        "operator.views_max=6",
        "model.steps=2",
        "model.channels=[8, 16]",
        "model.blocks=[1, 1]",
    ]
    config = load_config("ct-tiny", overrides=[*small, "training.patch=16", "training.loss=l2"]).config
    chosen, model = stage(config), learned.build(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    loss_of(chosen, model, 0, [0, 1])[0].backward()
    gradients = [parameter.grad for parameter in model.denoiser.unet.parameters()]
    assert gradients and all(gradient is not None and bool(gradient.any()) for gradient in gradients)
    watch: Any = Watch()
    for iteration in range(3):
        loss_of(chosen, watch, iteration, [0, 1])
    assert len(numbers := {y.shape[2] for y, _ in watch.given}) > 1 and numbers <= {3, 4, 5, 6}
