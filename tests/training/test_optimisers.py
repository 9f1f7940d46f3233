"""Which parameters go to which optimiser, and the learning rate over a run."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from torch.optim import Adam, AdamW

from idmcli.config import TrainingConfig
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.training.muon import Muon
from idmcli.training.optimisers import build_optimisers, learning_rate_factor

UNET = UNetConfig(channels=(8, 16), blocks=(1, 1))


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_one_optimiser_for_everything(name: Literal["adam", "adamw"], kind: type) -> None:
    model = Denoiser(DenoiserConfig(UNET))
    (optimiser,) = build_optimisers(model, TrainingConfig(optimizer=name, learning_rate=0.004, weight_decay=0.1))
    assert type(optimiser) is kind
    (group,) = optimiser.param_groups
    assert group["lr"] == 0.004 and len(group["params"]) == len(list(model.parameters()))
    assert group["weight_decay"] == (0.1 if name == "adamw" else 0)


def test_muon_takes_the_convolutions_inside_the_blocks() -> None:
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=2))))
    muon, adamw = build_optimisers(model, TrainingConfig(optimizer="muon", muon_learning_rate=0.01))
    assert (type(muon), type(adamw)) == (Muon, AdamW)
    assert muon.param_groups[0]["lr"] == 0.01
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moved = {names[id(parameter)] for parameter in muon.param_groups[0]["params"]}
    rest = {names[id(parameter)] for parameter in adamw.param_groups[0]["params"]}
    assert moved | rest == set(names.values()) and not moved & rest
    assert moved == {name for name in names.values() if ".conv1.weight" in name or ".conv2.weight" in name}


def test_frozen_parameters_are_left_out() -> None:
    model = Denoiser(DenoiserConfig(UNET))
    model.unet.conv_in.requires_grad_(False)
    for optimiser in build_optimisers(model, TrainingConfig(optimizer="muon")):
        assert all(parameter.requires_grad for parameter in optimiser.param_groups[0]["params"])


Schedule = Literal["cosine", "trapezoid", "step", "constant"]


def factors(schedule: Schedule, warmup: int = 10) -> list[float]:
    config = TrainingConfig(schedule=schedule, iterations=110, warmup=warmup)
    return [learning_rate_factor(config, iteration) for iteration in range(110)]


@pytest.mark.parametrize("schedule", ["cosine", "trapezoid", "step", "constant"])
def test_warm_up_is_linear_and_nothing_is_negative(schedule: Schedule) -> None:
    values = factors(schedule)
    assert values[:10] == pytest.approx([k / 10 for k in range(1, 11)])
    assert values[10] == 1 and all(0 < value <= 1 for value in values)
    assert all(later <= earlier for earlier, later in zip(values[10:], values[11:], strict=False))
    assert factors(schedule, warmup=0)[0] == 1


def test_the_schedules() -> None:
    assert factors("cosine")[60] == pytest.approx(0.5)
    assert factors("cosine")[-1] == pytest.approx((1 + math.cos(0.99 * math.pi)) / 2)
    assert factors("trapezoid")[70] == 1 and factors("trapezoid")[90] == pytest.approx(0.5)
    assert factors("trapezoid")[-1] == pytest.approx(0.025)
    assert [factors("step")[10 + 20 * k] for k in range(5)] == [1, 0.5, 0.25, 0.125, 0.0625]
    assert set(factors("constant")[10:]) == {1.0}


def test_a_run_that_is_all_warm_up() -> None:
    config = TrainingConfig(iterations=5, warmup=200)
    assert [learning_rate_factor(config, k) for k in (0, 4)] == [1 / 200, 5 / 200]
