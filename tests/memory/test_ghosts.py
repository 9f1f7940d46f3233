"""Bytes without data: exact by hand, equal to PyTorch's tracker, equal to what its allocator really gives out."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.memory.ghosts import Ghost, GhostMode, Ledger

Allocated = Callable[[Callable[[], object]], tuple[int, int]]


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
        assert type(ghost) is Ghost and float(ghost.sum()) == 1e-9 and bool((ghost > 0).any()) is True
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


def test_the_allocator_gives_out_the_same(allocated: Allocated) -> None:
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
