"""Which parameters go to which optimiser, and the learning rate over a run."""

from __future__ import annotations

import math
from typing import Literal

import pytest
from torch.optim import Adam, AdamW

from idmcli.config import TrainingConfig
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, Rule, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.training.muon import Muon
from idmcli.training.optimisers import build_optimisers, dominant_group, learning_rate_factor, parameter_groups

UNET = UNetConfig(channels=(8, 16), blocks=(1, 1))


@pytest.mark.parametrize(("name", "kind"), [("adam", Adam), ("adamw", AdamW)])
def test_one_optimiser_for_everything(name: Literal["adam", "adamw"], kind: type) -> None:
    model = Denoiser(DenoiserConfig(UNET))
    (optimiser,) = build_optimisers(model, TrainingConfig(optimizer=name, learning_rate=0.004, weight_decay=0.1))
    assert type(optimiser) is kind
    assert sum(len(group["params"]) for group in optimiser.param_groups) == len(list(model.parameters()))
    for group in optimiser.param_groups:
        assert group["lr"] == 0.004 and group["weight_decay"] == (0.1 if name == "adamw" else 0)


@pytest.mark.parametrize("rule", ["paper", "matched", "splitting"])
def test_scalars_that_move_every_pixel_are_groups_of_their_own(rule: Rule) -> None:
    unet = UNetConfig(channels=(8, 16), blocks=(1, 1), steps=2)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet), rule))
    groups, names = parameter_groups(model), {id(each): name for name, each in model.named_parameters()}
    assert groups.keys() == {"weights", "rule", "couplings"}
    assert sorted(names.values()) == sorted(names[id(each)] for group in groups.values() for each in group)
    assert all(names[id(each)].startswith("rule.") for each in groups["rule"])
    assert all(each.numel() == 1 for each in groups["couplings"])
    assert all(each.ndim for each in groups["weights"])


def test_groups_have_learning_rates_of_their_own() -> None:
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(UNetConfig(channels=(8,), blocks=(1,), steps=2))))
    rates = {"rule_learning_rate": 3e-4, "coupling_learning_rate": 5e-6}
    (optimiser,) = build_optimisers(model, TrainingConfig(learning_rate=4e-5, **rates))
    assert {group["lr"] for group in optimiser.param_groups} == {4e-5, 3e-4, 5e-6}


def test_a_dominant_group_is_one_that_learns_as_fast_as_the_weights() -> None:
    norms = {"weights": 2.0, "rule": 3.0, "couplings": 50.0}
    assert dominant_group(norms, TrainingConfig()) == "couplings"
    assert dominant_group(norms, TrainingConfig(coupling_learning_rate=1e-5)) is None
    assert dominant_group(norms | {"couplings": 19.0}, TrainingConfig()) is None


def test_muon_takes_the_convolutions_inside_the_blocks() -> None:
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=2))))
    muon, adamw = build_optimisers(model, TrainingConfig(optimizer="muon", muon_learning_rate=0.01))
    assert (type(muon), type(adamw)) == (Muon, AdamW)
    assert muon.param_groups[0]["lr"] == 0.01
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    moved = {names[id(parameter)] for parameter in muon.param_groups[0]["params"]}
    rest = {names[id(parameter)] for group in adamw.param_groups for parameter in group["params"]}
    assert moved | rest == set(names.values()) and not moved & rest
    assert moved == {name for name in names.values() if ".conv1.weight" in name or ".conv2.weight" in name}


def test_frozen_parameters_are_left_out() -> None:
    model = Denoiser(DenoiserConfig(UNET))
    model.unet.conv_in.requires_grad_(False)
    for optimiser in build_optimisers(model, TrainingConfig(optimizer="muon")):
        assert all(parameter.requires_grad for group in optimiser.param_groups for parameter in group["params"])


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
