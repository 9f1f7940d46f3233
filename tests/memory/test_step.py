"""The memory of a training step: exact, in every plan, and what it is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor

from idmcli import learned, tasks
from idmcli.config import Config, TaskConfig, TrainingConfig
from idmcli.errors import ConfigError
from idmcli.learned.idm import IDMSettings
from idmcli.learned.prior import PriorSettings
from idmcli.memory.ghosts import GhostMode
from idmcli.memory.step import ComputedStep, any_loss, operator_of
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.reversible.plan import NAMED, named_plan
from idmcli.tasks.cs import CompressedSensingOptions
from idmcli.tasks.ct import CTOptions
from idmcli.training.step import Step

Allocated = Callable[[Callable[[], object]], tuple[int, int]]
SMALL = Config(
    task=TaskConfig(channels=1),
    operator=CompressedSensingOptions(ratio=0.25, block=16),
    model=IDMSettings(steps=2, channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(batch=2, patch=32, optimizer="adam"),
)


@cache
def small() -> ComputedStep:
    return ComputedStep(SMALL)


def changed(steps: int = 2, **training: Any) -> Config:
    return replace(SMALL, model=replace(SMALL.model, steps=steps), training=replace(SMALL.training, **training))


@pytest.mark.parametrize("name", NAMED)
def test_activations_are_those_of_the_allocator(name: Any, allocated: Allocated) -> None:
    """The whole network, in every plan: what is held between the forward and the backward pass."""
    plan, computed = named_plan(name, 2), small()
    operator, model = operator_of(SMALL), learned.build(SMALL)
    assert isinstance(model, InvertibleDiffusion)
    step = Step(model, SMALL.training)

    def loss() -> Tensor:
        return step.forward(any_loss, SMALL, operator, plan, 2)[0]

    loss().backward()  # type: ignore[no-untyped-call]
    step.update(torch.zeros(()))
    alive, _ = allocated(loss)
    buffers = sum(buffer.untyped_storage().nbytes() for buffer in operator.buffers())
    more = alive + buffers - computed.memory(plan).activations
    checkpoints, numbers = divmod(more, torch.get_rng_state().nbytes)  # each keeps the state of the generator ...
    assert (checkpoints > 0) == (name in ("checkpoint", "sampler", "both"))
    assert numbers in range(0, 100, 8)  # ... and autograd some numbers, as tensors that no operator sees


def test_noise_is_noise_by_whatever_option() -> None:
    """Its level is read off ghosts of counted photons; with noise, splitting steps keep more."""

    def activations(**options: Any) -> int:
        model = replace(SMALL.model, rule="splitting", steps=1, injectors=False)
        config = replace(SMALL, task=TaskConfig("ct"), operator=CTOptions(views=8, **options), model=model)
        return ComputedStep(config).memory(named_plan("plain", 1)).activations

    assert activations() < activations(noise=0.1) <= activations(photons=1e5)


def test_one_training_step_in_every_plan() -> None:
    """Numbers of this network; whoever changes what it computes, or PyTorch, may move them."""
    computed = small()
    found = {name: computed.memory(named_plan(name, 2)) for name in NAMED}
    model = learned.build(SMALL)
    parameters = sum(4 * parameter.numel() for parameter in model.parameters())
    for memory in found.values():
        assert memory.parameters == memory.gradients == parameters == 34744
        assert memory.average == parameters + 8  # the number of updates
        assert memory.optimiser == 2 * parameters + 4 * len(list(model.parameters()))  # two moments, a count each
        assert memory.peak == 5 * parameters + 8 + 244 + memory.step
    assert {name: (memory.activations, memory.temporaries) for name, memory in found.items()} == PINNED
    assert computed.memory(named_plan("plain", 2)) == found["plain"]  # measuring leaves no trace


PINNED = {
    "plain": (1073208, 81920),
    "checkpoint": (763960, 83956),
    "unet": (436280, 215028),
    "sampler": (632864, 83984),
    "both": (313376, 215056),
}


def test_growth_with_t() -> None:
    """Plain autograd's memory is a line through T; with both levels a step adds its image, with the features that it
    carries, and nothing else."""

    def growth(name: Any, carry: int = 0) -> list[tuple[int, int]]:
        configs = [changed(steps) for steps in (2, 3, 4, 6)]
        configs = [replace(config, model=replace(config.model, carry=carry)) for config in configs]
        found = [ComputedStep(config, mode).memory(named_plan(name, config.model.steps)) for config in configs]
        return [(b.activations - a.activations, b.step - a.step) for a, b in pairwise(found)]

    mode, image = GhostMode(), 4 * 2 * 32 * 32
    assert growth("both") == [(image, image), (image, image), (2 * image, 2 * image)]
    assert growth("both", carry=2) == [(3 * image, 3 * image), (3 * image, 3 * image), (6 * image, 6 * image)]
    assert growth("plain") == [(450584, 450584), (450584, 450584), (901168, 901168)]


@pytest.mark.parametrize("kind", ["inpainting", "mri", "ct"])
def test_every_task(kind: Any) -> None:
    config = replace(
        SMALL,
        task=TaskConfig(kind, 1),
        operator=tasks.find(kind).options(**({"views": 1} if kind == "ct" else {})),
        training=replace(SMALL.training, patch=8),
    )
    computed = ComputedStep(config)
    plain, both = (computed.memory(named_plan(name, 2)) for name in ("plain", "both"))
    assert both.activations < plain.activations / 3 and both.peak < plain.peak


def test_crops_that_need_padding() -> None:
    a, b = (ComputedStep(changed(patch=patch)).memory(named_plan("plain", 2)) for patch in (28, 32))
    assert 0.9 * b.step < a.step < 1.1 * b.step


def test_half_precision() -> None:
    computed = ComputedStep(changed(precision="bf16"))
    half = computed.memory(named_plan("plain", 2))
    full = small().memory(named_plan("plain", 2))
    assert 0.5 * full.activations < half.activations < 0.9 * full.activations  # streams and images stay in float32
    assert half.parameters == full.parameters == half.gradients


@pytest.mark.parametrize(("name", "copies"), [("adam", 2), ("adamw", 2), ("muon", 2)])
def test_optimisers(name: Any, copies: int) -> None:
    memory = ComputedStep(changed(optimizer=name)).memory(named_plan("unet", 2))
    matrices = 4 * (2 * (2 * 9 * 8 * 8) + 2 * 9 * 16 * 16) if name == "muon" else 0
    count = 4 * (61 if name != "muon" else 61 - 6)
    assert memory.optimiser == copies * (memory.parameters - matrices) + matrices + count


def test_the_batch() -> None:
    computed = small()
    one, two, four = (computed.memory(named_plan("plain", 2), batch) for batch in (1, 2, 4))
    assert two == computed.memory(named_plan("plain", 2))
    assert four.activations - two.activations == 2 * (two.activations - one.activations)


def test_without_fake_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Meta tensors do as well, but for the layout that a convolution chooses."""
    plans = [named_plan(name, 2) for name in NAMED]
    expected = [small().memory(plan) for plan in plans]
    monkeypatch.setattr("idmcli.memory.step.GhostMode", lambda: GhostMode(fake=False))
    computed = ComputedStep(SMALL)
    assert [computed.memory(plan) for plan in plans] == expected


def test_computations_may_share_what_they_know() -> None:
    mode = GhostMode()
    for steps in (3, 2):
        for name in NAMED:
            plan, config = named_plan(name, steps), changed(steps)
            shared = ComputedStep(config, mode).memory(plan)
            assert steps == 3 or shared == small().memory(plan)


def test_the_full_size_network() -> None:
    """About 7 s: T = 3 at the size of the paper; DESIGN's aim is for any T, and both levels do not grow with it."""
    config = replace(
        SMALL,
        operator=CompressedSensingOptions(ratio=0.5),
        model=IDMSettings(size="full", steps=3),
        training=replace(SMALL.training, batch=4, patch=128),
    )
    computed = ComputedStep(config)
    plain, both = (computed.memory(named_plan(name, 3)) for name in ("plain", "both"))
    assert plain.step > 20e9 and both.step < 1.2e9
    assert 1 - both.peak / plain.peak > 0.8


def test_the_prior_has_no_plans() -> None:
    with pytest.raises(ConfigError, match='memory is computed for model.kind csnet-plus, idm, rk-ccsnet, not "prior"'):
        ComputedStep(replace(SMALL, model=PriorSettings()))
