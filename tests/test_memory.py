"""Bytes without data: exact by hand, equal to PyTorch's tracker, equal to what its allocator really gives out."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.config import Config, ModelConfig, OperatorConfig, TaskConfig, TrainingConfig
from idmcli.errors import ConfigError
from idmcli.memory import Ghost, GhostMode, Ledger
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.models.zoo import build_model
from idmcli.reversible.plan import NAMED, named_plan
from idmcli.sizes import format_size, parse_size
from idmcli.training.step_memory import ComputedStep, TrainingStep, operator_of

SMALL = Config(
    task=TaskConfig(channels=1),
    operator=OperatorConfig(ratio=0.25, block=16),
    model=ModelConfig(steps=2, channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(stage="end-to-end", batch=2, patch=32, optimizer="adam"),
)


@cache
def small() -> ComputedStep:
    return ComputedStep(SMALL)


def changed(steps: int = 2, **training: Any) -> Config:
    return replace(SMALL, model=replace(SMALL.model, steps=steps), training=replace(SMALL.training, **training))


def forward(module: Callable[[Tensor], Tensor], *shape: int) -> tuple[GhostMode, Ledger, Tensor, Tensor]:
    """A module of ghosts, called on a ghost of ``shape`` that requires a gradient."""
    mode = GhostMode()
    if isinstance(module, nn.Module):
        mode.ghosts_of(module)
    with mode:
        ledger = mode.start()
        x = torch.zeros(shape, requires_grad=True)
        return mode, ledger, x, module(x)


def test_a_linear_layer() -> None:
    mode, ledger, x, y = forward(nn.Linear(5, 7), 3, 5)
    assert type(y) is Ghost and y.shape == (3, 7) and y.dtype == torch.float32 and y.requires_grad
    assert ledger.alive == ledger.peak == 4 * (3 * 5 + 3 * 7)  # input and output; the weights were there before
    with mode:
        loss = y.sum()
        assert ledger.alive == 4 * (15 + 21 + 1)
        del y
        assert ledger.alive == 4 * (15 + 1)  # a linear layer needs its input only
        loss.backward()  # type: ignore[no-untyped-call]
    assert ledger.alive == 4 * (15 + 1 + 15 + 35 + 7)  # with the gradients of input, weight and bias
    assert ledger.peak == ledger.alive + 4  # and the gradient of the loss, a one


def test_a_convolution() -> None:
    _, ledger, _, y = forward(nn.Conv2d(3, 4, 3, padding=1), 2, 3, 8, 8)
    assert y.shape == (2, 4, 8, 8)
    assert ledger.alive == 4 * (2 * 3 * 64 + 2 * 4 * 64)
    mode, ledger, x, y = forward(nn.Conv2d(3, 4, 2, stride=2, dtype=torch.float64).float(), 2, 3, 8, 8)
    assert ledger.alive == 4 * (2 * 3 * 64 + 2 * 4 * 16)
    with mode, torch.autocast("cpu", torch.bfloat16):
        assert F.conv2d(x, x).dtype == torch.bfloat16


def test_what_works_in_place_takes_nothing() -> None:
    _, ledger, _, y = forward(lambda x: F.relu(2 * x, inplace=True), 100)
    assert ledger.alive == ledger.peak == 2 * 400
    _, ledger, _, y = forward(lambda x: F.relu(2 * x), 100)
    assert (ledger.alive, ledger.peak) == (2 * 400, 3 * 400)


def test_a_view_shares_its_storage() -> None:
    _, ledger, x, y = forward(lambda x: x.view(4, 25).T[1:3], 100)
    assert ledger.alive == ledger.peak == 400
    assert y.shape == (2, 4) and y.stride() == (1, 25) and y.storage_offset() == 1
    del x
    assert ledger.alive == 400  # the view holds it
    del y
    assert ledger.alive == 0


def test_outputs_that_share_a_storage_are_views_of_it() -> None:
    _, ledger, _, y = forward(lambda x: (2 * x).split(25), 100)  # type: ignore[arg-type, return-value]
    first, *others = y
    del y, others
    assert first.shape == (25,) and ledger.alive == 400 + 400


def test_values() -> None:
    with GhostMode() as mode:
        ledger = mode.start()
        ghost = torch.rand(10)
        assert type(ghost) is Ghost and float(ghost.sum()) == 0.0 and bool((ghost > 0).any()) is True
        assert int(torch.ones(1, dtype=torch.int64)) == 0 and torch.equal(ghost, ghost)
        real = torch.tensor([2.0, 3.0])  # from numbers
        assert type(real) is Tensor and (real * real).tolist() == [4.0, 9.0]
        assert type(real * ghost[:2]) is Ghost
    assert ledger.alive == 40 + 8
    del real, ghost
    assert ledger.alive == 0


def test_a_copy_is_a_tensor_of_its_own() -> None:
    mode, layer = GhostMode(), nn.Linear(5, 7)
    mode.ghosts_of(layer)
    with mode:
        ledger = mode.start()
        twin = deepcopy(layer)
        assert ledger.alive == 4 * 42 and isinstance(twin.weight, nn.Parameter) and twin.weight.requires_grad
        twin.weight.data.zero_()
        del twin
    assert ledger.alive == 0


def test_a_ghost_does_not_leave_its_mode() -> None:
    with GhostMode():
        ghost = torch.zeros(3)
    with pytest.raises(RuntimeError, match="without values outside of GhostMode"):
        ghost + 1


class Shared(nn.Module):
    """Gradients meet at the weights, at x and at every sum: autograd adds them up in place."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(40, 40), nn.Linear(40, 40)

    def forward(self, x: Tensor) -> Tensor:
        for _ in range(3):
            x = x + torch.tanh(self.a(x)) * self.b(x)
            x = torch.sigmoid(x) + x.flip(0) + x
            x = x + x.sum(1, keepdim=True)  # one of the gradients is an expanded number
        return x.square().mean()


def allocated(run: Callable[[], Any]) -> tuple[int, int]:
    """Bytes that PyTorch's CPU allocator has given out when ``run`` ends, and at the most."""
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as profile:
        kept = run()
    assert profile.profiler is not None and profile.profiler.kineto_results is not None
    events = [event for event in profile.profiler.kineto_results.events() if event.name() == "[memory]"]
    alive = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        alive += event.nbytes()
        peak = max(peak, alive)
    del kept
    return alive, peak


def test_the_allocator_gives_out_the_same() -> None:
    def step(model: nn.Module) -> Callable[[], Tensor]:
        def run() -> Tensor:
            loss: Tensor = model(torch.zeros(30, 40))
            loss.backward()  # type: ignore[no-untyped-call]
            return loss

        return run

    real = Shared()
    step(real)()  # what is set up once
    real.zero_grad(set_to_none=True)
    mode, model = GhostMode(), Shared()
    mode.ghosts_of(model)
    with mode:
        ledger = mode.start()
        kept = step(model)()
    assert (ledger.alive, ledger.peak) == allocated(step(real))
    assert ledger.alive == 4 * 2 * (40 * 40 + 40) + 4
    del kept


@pytest.mark.parametrize("name", NAMED)
def test_activations_are_those_of_the_allocator(name: Any) -> None:
    """The whole network, in every plan: what is held between the forward and the backward pass."""
    plan, computed = named_plan(name, 2), small()
    operator, model = operator_of(SMALL), build_model(SMALL)
    assert isinstance(model, InvertibleDiffusion)
    step = TrainingStep(SMALL, model, operator)
    step.loss(plan, 2).backward()  # type: ignore[no-untyped-call]
    step.update()
    alive, _ = allocated(lambda: step.loss(plan, 2))
    buffers = sum(buffer.untyped_storage().nbytes() for buffer in operator.buffers())
    more = alive + buffers - computed.memory(plan).activations
    checkpoints, numbers = divmod(more, torch.get_rng_state().nbytes)  # each keeps the state of the generator ...
    assert (checkpoints > 0) == (name in ("checkpoint", "sampler", "both"))
    assert numbers in range(0, 100, 8)  # ... and autograd some numbers, as tensors that no operator sees


def test_the_tracker_of_pytorch_finds_the_same() -> None:
    mem_tracker = pytest.importorskip("torch.distributed._tools.mem_tracker")
    fake_tensor = pytest.importorskip("torch._subclasses.fake_tensor")

    def build() -> nn.Module:  # where gradients meet, the tracker sees memory that autograd never takes
        return nn.Sequential(
            nn.Conv2d(3, 8, 3), nn.GroupNorm(2, 8), nn.SiLU(), nn.Conv2d(8, 8, 3, 2), nn.Flatten(), nn.Linear(72, 5)
        )

    def step(model: nn.Module, optimiser: torch.optim.Optimizer, x: Tensor) -> None:
        model(x).square().mean().backward()
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)

    with fake_tensor.FakeTensorMode():
        model, x = build(), torch.rand(4, 3, 9, 9)
        optimiser = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
        step(model, optimiser, x)
        tracker = mem_tracker.MemTracker()
        tracker.track_external(model, optimiser, x)
        with tracker:
            step(model, optimiser, x)
        (expected,) = tracker.get_tracker_snapshot("peak").values()

    mode, ghosts = GhostMode(), build()
    mode.ghosts_of(ghosts)
    with mode:
        x = torch.rand(4, 3, 9, 9)
        optimiser = torch.optim.SGD(ghosts.parameters(), 0.1, momentum=0.9)
        step(ghosts, optimiser, x)
        ledger = mode.start()
        step(ghosts, optimiser, x)
    weights = sum(4 * parameter.numel() for parameter in ghosts.parameters())
    assert 2 * weights + 4 * x.numel() + ledger.peak == expected["Total"]


def test_one_training_step_in_every_plan() -> None:
    """Numbers of this network; whoever changes what it computes, or PyTorch, may move them."""
    computed = small()
    found = {name: computed.memory(named_plan(name, 2)) for name in NAMED}
    model = build_model(SMALL)
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
    "checkpoint": (763960, 83972),
    "unet": (436280, 215044),
    "sampler": (632864, 83984),
    "both": (313376, 215044),
}


def test_growth_with_t() -> None:
    """Plain autograd's memory is a line through T; with both levels a step adds its image and nothing else."""

    def growth(name: Any) -> list[tuple[int, int]]:
        found = [ComputedStep(changed(steps), mode).memory(named_plan(name, steps)) for steps in (2, 3, 4, 6)]
        return [(b.activations - a.activations, b.step - a.step) for a, b in pairwise(found)]

    mode, image = GhostMode(), 4 * 2 * 32 * 32
    assert growth("both") == [(image, image), (image, image), (2 * image, 2 * image)]
    assert growth("plain") == [(450584, 450584), (450584, 450584), (901168, 901168)]


@pytest.mark.parametrize("kind", ["inpainting", "mri", "ct"])
def test_every_task(kind: Any) -> None:
    config = replace(
        SMALL,
        task=TaskConfig(kind, 1),
        operator=replace(SMALL.operator, views=1),
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
    monkeypatch.setattr("idmcli.training.step_memory.GhostMode", lambda: GhostMode(fake=False))
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
        operator=OperatorConfig(ratio=0.5),
        model=ModelConfig(size="full", steps=3),
        training=replace(SMALL.training, batch=4, patch=128),
    )
    computed = ComputedStep(config)
    plain, both = (computed.memory(named_plan(name, 3)) for name in ("plain", "both"))
    assert plain.step > 20e9 and both.step < 1.2e9
    assert 1 - both.peak / plain.peak > 0.8


def test_the_prior_has_no_plans() -> None:
    with pytest.raises(ConfigError, match='memory plans are for training.stage = "end-to-end", not "prior"'):
        ComputedStep(changed(stage="prior"))


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("15GiB", 15 * 2**30),
        ("11 gib", 11 * 2**30),
        ("800MB", 800 * 10**6),
        ("1.5KiB", 1536),
        ("2e9", 2 * 10**9),
        (" 7 ", 7),
        (4096, 4096),
        ("0.1TB", 10**11),
    ],
)
def test_sizes(text: str | int, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "11GX", "GiB", "-1GB", "1,5GB", "0", "0.1", "nan", "1e99", "9" * 20, "11G", True])
def test_no_sizes(text: str | int) -> None:
    with pytest.raises(ValueError, match="a size"):
        parse_size(text)


def test_sizes_for_people() -> None:
    assert [format_size(size) for size in (0, 1023, 1024, 1.5 * 2**20, 15 * 2**30, 3 * 2**50)] == [
        "0 B",
        "1023 B",
        "1.00 KiB",
        "1.50 MiB",
        "15.00 GiB",
        "3072.00 TiB",
    ]
