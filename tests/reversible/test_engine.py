"""The engine's gradients are those of plain autograd, wherever a graph of plain functions would do."""

from __future__ import annotations

import os
import socket
import threading
from typing import Any, NamedTuple

import pytest
import torch
import torch.multiprocessing
from torch import Tensor, nn

from idmcli.errors import NumericalError
from idmcli.reversible import local
from idmcli.reversible.checker import check_reversible
from idmcli.reversible.coupling import CHAIN, ReversibleGroup
from idmcli.reversible.engine import Memory, run


class Extra(NamedTuple):
    """A context: something that is no tensor, a tensor, and nested tensors."""

    step: int
    gain: Tensor
    skips: tuple[Tensor, ...]


class Body(nn.Module):
    """A nonlinear map of x and the context."""

    samplewise = True

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor, context: Extra | None) -> Tensor:
        y: Tensor = torch.tanh(self.conv(x))
        return y if context is None else y * context.gain + context.skips[context.step].sin()


class Mixing(Body):
    """One that mixes the samples of a batch."""

    samplewise = False

    def forward(self, x: Tensor, context: Extra | None) -> Tensor:
        return super().forward(x, context) + 0.1 * x.mean(0, keepdim=True)


DEPTH, EXITS = 9, [4, 9]


def make_group(
    dtype: torch.dtype = torch.float64, depth: int = DEPTH, exits: list[int] | None = None
) -> ReversibleGroup:
    torch.manual_seed(0)
    modules = [Mixing() if index % 3 == 1 else Body() for index in range(depth)]
    group = ReversibleGroup(modules, exits=exits or EXITS).to(dtype)
    with torch.no_grad():
        for coupling in group.couplings:
            coupling.v.uniform_(0.3, 0.7)
        group.open_scale.fill_(0.7)
        group.close_scale.uniform_(-0.5, 0.5)
    return group


def make_inputs(dtype: torch.dtype = torch.float64, batch: int = 3) -> tuple[Tensor, Extra]:
    generator = torch.Generator().manual_seed(1)

    def draw() -> Tensor:
        return torch.randn(batch, 4, 5, 6, generator=generator, dtype=dtype).requires_grad_()

    return draw(), Extra(1, draw(), (draw(), draw()))


def loss_of(exits: list[Tensor]) -> Tensor:
    return torch.stack([(exit.sin() * (index + 1)).sum() for index, exit in enumerate(exits)]).sum()


def gradients(group: ReversibleGroup, memory: Memory, x: Tensor, extra: Extra) -> list[Tensor | None]:
    inputs = [x, extra.gain, *extra.skips, *group.parameters()]
    return list(torch.autograd.grad(loss_of(group(x, extra, memory)), inputs, allow_unused=True))


def assert_same(found: list[Tensor | None], expected: list[Tensor | None], tolerance: float) -> None:
    assert [g is None for g in found] == [g is None for g in expected]
    for a, b in zip(found, expected, strict=True):
        if a is not None and b is not None:
            torch.testing.assert_close(a, b, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("slice_size", [2**20, 2 * 4 * 5 * 6, 1])
@pytest.mark.parametrize("memory", ["checkpoint", "reversible"])
def test_gradients_of_everything_that_goes_in(memory: Memory, slice_size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "SLICE", slice_size)
    group, (x, extra) = make_group(), make_inputs()
    for a, b in zip(group(x, extra, memory), group(x, extra, "plain"), strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-13)
    assert_same(gradients(group, memory, x, extra), gradients(group, "plain", x, extra), 1e-10)


def test_gradcheck() -> None:
    group = make_group(depth=3, exits=[2, 3])
    names = dict(group.named_parameters())
    x, extra = make_inputs(batch=1)

    def function(x: Tensor, gain: Tensor, skip: Tensor, *values: Tensor) -> tuple[Tensor, ...]:
        arguments = (x, Extra(0, gain, (skip,)), "reversible")
        return tuple(torch.func.functional_call(group, dict(zip(names, values, strict=True)), arguments))

    values = [value.detach().clone().requires_grad_() for value in names.values()]
    assert torch.autograd.gradcheck(function, (x, extra.gain, extra.skips[0], *values), fast_mode=True)


def test_gradcheck_of_a_recomputed_module() -> None:
    module, (x, extra) = Mixing().double(), make_inputs(batch=2)
    assert torch.autograd.gradcheck(
        lambda x, gain, skip: run(module, x, Extra(0, gain, (skip,)), "reversible"),
        (x, extra.gain, extra.skips[0]),
        fast_mode=True,
    )


def test_single_precision_stays_near_plain_autograd_over_many_modules() -> None:
    group, (x, extra) = make_group(torch.float32, depth=24, exits=[24]), make_inputs(torch.float32)
    report = check_reversible(group, x, extra)
    assert report.output < 1e-6 and report.gradient < 1e-5 and report.worst_gradient < 1e-3
    assert report.inverse > 10 * report.gradient  # what inversion over the whole depth would lose


@pytest.mark.parametrize(("depth", "exits", "anchors"), [(4, [4], [4]), (8, [4, 8], [4, 8]), (7, [3, 7], [3, 7])])
def test_anchors_lie_at_exits_where_they_can(depth: int, exits: list[int], anchors: list[int]) -> None:
    assert make_group(depth=depth, exits=exits).anchors() == anchors


@pytest.mark.parametrize("depth", range(1, 40))
def test_anchors_cut_chains(depth: int) -> None:
    anchors = make_group(depth=depth, exits=[depth]).anchors()
    assert anchors[-1] == depth
    assert max(b - a for a, b in zip([0, *anchors], anchors, strict=False)) <= CHAIN


def test_autocast() -> None:
    """The modules see the same rounded inputs again, so that half precision costs the inversion nothing."""
    group, (x, extra) = make_group(torch.float32), make_inputs(torch.float32)
    found: dict[Memory, list[Tensor | None]] = {}
    for memory in ("plain", "reversible"):
        with torch.autocast("cpu", torch.bfloat16):
            exits = group(x, extra, memory)
        assert all(exit.dtype == torch.float32 for exit in exits)
        inputs = [x, extra.gain, *extra.skips, *group.parameters()]
        found[memory] = list(torch.autograd.grad(loss_of(exits), inputs, allow_unused=True))
    for a, b in zip(found["reversible"], found["plain"], strict=True):
        if a is not None and b is not None:
            assert a.dtype == b.dtype
            assert (a - b).norm() <= 0.02 * b.norm()


def test_only_autograd_returns_gradients() -> None:
    """``torch.autograd.grad`` leaves every ``.grad`` alone, and what is not asked for is not computed."""
    group, (x, extra) = make_group(), make_inputs()
    loss_of(group(x, extra, "reversible")).backward()
    before = [parameter.grad.clone() for parameter in group.parameters() if parameter.grad is not None]
    gradients(group, "reversible", x, extra)
    after = [parameter.grad for parameter in group.parameters() if parameter.grad is not None]
    assert all(torch.equal(a, b) for a, b in zip(after, before, strict=True))


def test_gradients_accumulate_and_a_graph_can_be_kept() -> None:
    group, (x, extra) = make_group(), make_inputs()
    loss = loss_of(group(x, extra, "reversible"))
    loss.backward(retain_graph=True)
    once = [parameter.grad.clone() for parameter in group.parameters() if parameter.grad is not None]
    loss.backward()
    twice = [parameter.grad for parameter in group.parameters() if parameter.grad is not None]
    for a, b in zip(twice, once, strict=True):
        torch.testing.assert_close(a, 2 * b)


def test_frozen_parameters_and_inputs_get_none() -> None:
    group, (x, extra) = make_group(), make_inputs()
    frozen = [parameter for module in list(group.modules_)[::2] for parameter in module.parameters()]
    for parameter in [*frozen, group.open_scale, group.couplings[3].v]:
        parameter.requires_grad_(False)
    expected = torch.autograd.grad(
        loss_of(group(x, extra, "plain")), [p for p in group.parameters() if p.requires_grad]
    )
    loss_of(group(x.detach(), extra, "reversible")).backward()
    found = [parameter.grad for parameter in group.parameters() if parameter.requires_grad]
    assert_same(found, list(expected), 1e-10)
    assert all(parameter.grad is None for parameter in frozen)


def test_an_unused_exit() -> None:
    group, (x, extra) = make_group(), make_inputs()
    inputs = [x, *group.parameters()]
    for index in (0, 1):
        expected = torch.autograd.grad(group(x, extra)[index].sum(), inputs, allow_unused=True)
        found = torch.autograd.grad(group(x, extra, "reversible")[index].sum(), inputs)
        for a, b in zip(found, expected, strict=True):
            assert a is not None
            torch.testing.assert_close(a, torch.zeros_like(a) if b is None else b)


def test_without_gradients_nothing_is_kept() -> None:
    group, (x, extra) = make_group(), make_inputs()
    with torch.no_grad():
        exits = group(x, extra, "reversible")
    assert all(not exit.requires_grad for exit in exits)


def test_parameters_changed_before_the_backward_pass_are_noticed() -> None:
    group, (x, extra) = make_group(), make_inputs()
    loss = loss_of(group(x, extra, "reversible"))
    with torch.no_grad():
        group.modules_[0].conv.weight.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_scaled_loss() -> None:
    group, (x, extra) = make_group(torch.float32), make_inputs(torch.float32)
    optimiser = torch.optim.SGD(group.parameters(), lr=0.1)
    expected = torch.autograd.grad(loss_of(group(x, extra)), list(group.parameters()))
    before = [parameter.detach().clone() for parameter in group.parameters()]
    scaler = torch.amp.GradScaler("cpu", init_scale=2.0**10)
    scaler.scale(loss_of(group(x, extra, "reversible"))).backward()
    scaler.step(optimiser)
    for parameter, old, gradient in zip(group.parameters(), before, expected, strict=True):
        torch.testing.assert_close(parameter, old - 0.1 * gradient, rtol=1e-4, atol=1e-4)


def test_two_models_at_once() -> None:
    """Their forward and backward passes interleave, in two threads."""
    groups, (x, extra) = [make_group(), make_group(depth=5, exits=[5])], make_inputs()
    expected = [gradients(group, "plain", x, extra) for group in groups]
    found: list[list[Tensor | None]] = [[], []]

    def work(index: int) -> None:
        for _ in range(5):
            found[index] = gradients(groups[index], "reversible", x, extra)

    threads = [threading.Thread(target=work, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index in (0, 1):
        assert_same(found[index], expected[index], 1e-10)


def test_hooks_fire_once_per_parameter() -> None:
    group, (x, extra) = make_group(), make_inputs()
    fired: list[int] = []
    for index, parameter in enumerate(group.parameters()):
        parameter.register_post_accumulate_grad_hook(lambda _, index=index: fired.append(index))
    y = group(x, extra, "reversible")[-1]
    loss_of(group(y, extra, "reversible")).backward()
    assert sorted(fired) == list(range(len(list(group.parameters()))))


def _train_in_parallel(rank: int, port: int, results: Any) -> None:
    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    torch.set_num_threads(1)
    torch.distributed.init_process_group("gloo", rank=rank, world_size=2)
    model = nn.parallel.DistributedDataParallel(_Reversible(make_group()))
    x, extra = make_inputs(batch=2)
    half = Extra(
        extra.step, *(t[rank : rank + 1] for t in (extra.gain,)), tuple(s[rank : rank + 1] for s in extra.skips)
    )
    for _ in range(2):  # the second pass needs the reducer to have seen every parameter in the first
        model.zero_grad()
        loss_of(model(x[rank : rank + 1], half)).backward()
    if rank == 0:
        results.put([parameter.grad.numpy() for parameter in model.parameters() if parameter.grad is not None])
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()


class _Reversible(nn.Module):
    def __init__(self, group: ReversibleGroup) -> None:
        super().__init__()
        self.group = group

    def forward(self, x: Tensor, extra: Extra) -> list[Tensor]:
        return list(self.group(x, extra, "reversible"))


def test_distributed_data_parallel() -> None:
    """The mean of two processes' gradients, without a static graph."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = make_group()
    context = torch.multiprocessing.get_context("spawn")
    results = context.SimpleQueue()
    processes = [context.Process(target=_train_in_parallel, args=(rank, port, results)) for rank in (0, 1)]
    for process in processes:
        process.start()
    found = results.get()
    for process in processes:
        process.join()
        assert process.exitcode == 0
    x, extra = make_inputs(batch=2)
    losses = [
        loss_of(group(x[r : r + 1], Extra(1, extra.gain[r : r + 1], tuple(s[r : r + 1] for s in extra.skips))))
        for r in (0, 1)
    ]
    expected = torch.autograd.grad((losses[0] + losses[1]) / 2, list(group.parameters()))
    for a, b in zip(found, expected, strict=True):
        torch.testing.assert_close(torch.from_numpy(a), b)


class Noisy(Body):
    def forward(self, x: Tensor, context: Extra | None) -> Tensor:
        return nn.functional.dropout(super().forward(x, context), 0.5)


def test_randomness_inside_a_group_is_refused() -> None:
    x, _ = make_inputs()
    group = ReversibleGroup([Body(), Noisy()]).double()
    with pytest.raises(RuntimeError, match="drew random numbers"):
        group(x, None, "reversible")
    assert group(x, None, "checkpoint")[0].requires_grad


@pytest.mark.parametrize("norm", [nn.BatchNorm2d(4), nn.InstanceNorm2d(4, track_running_stats=True)])
def test_statistics_inside_a_group_are_refused(norm: nn.Module) -> None:
    with pytest.raises(ValueError, match="updates statistics"):
        ReversibleGroup([norm])


def test_a_norm_without_running_statistics_is_not() -> None:
    ReversibleGroup([nn.InstanceNorm2d(4), nn.BatchNorm2d(4, track_running_stats=False)])


class Counting(Body):
    """One that keeps statistics of its own, in place or as a new tensor."""

    mean: Tensor

    def __init__(self, in_place: bool) -> None:
        super().__init__()
        self.in_place = in_place
        self.register_buffer("mean", torch.zeros(4, dtype=torch.float64))

    def forward(self, x: Tensor, context: Extra | None) -> Tensor:
        if self.in_place:
            self.mean.lerp_(x.detach().mean((0, 2, 3)), 0.1)
        else:
            self.mean = self.mean.lerp(x.detach().mean((0, 2, 3)), 0.1)
        return super().forward(x, context) - self.mean[:, None, None]


@pytest.mark.parametrize("in_place", [True, False])
def test_what_changes_its_buffers_is_refused_wherever_it_would_run_twice(in_place: bool) -> None:
    x, _ = make_inputs()
    group = ReversibleGroup([Body(), Counting(in_place)]).double()
    assert group(x, None, "plain")[0].requires_grad
    memories: tuple[Memory, ...] = ("checkpoint", "reversible")
    for memory in memories:
        with pytest.raises(RuntimeError, match=r"changed its buffer '.*mean'.*use the memory plan plain"):
            group(x, None, memory)
    with pytest.raises(RuntimeError, match="changed its buffer"):
        run(group.modules_[1], x, None, "reversible")


def test_the_checker_refuses_what_changes_its_buffers_and_changes_none() -> None:
    x, _ = make_inputs()
    group = ReversibleGroup([Body(), Counting(True)]).double()
    with pytest.raises(RuntimeError, match="changed its buffer"):
        check_reversible(group, x)
    assert not group.modules_[1].mean.any()


def kept_bytes(group: ReversibleGroup, x: Tensor) -> int:
    """What the backward pass of a group keeps beside its parameters."""
    kept: dict[int, int] = {}
    own = {parameter.data_ptr() for parameter in group.parameters()}

    def pack(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            kept[tensor.data_ptr()] = tensor.nbytes
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        group(x, None, "reversible")
    return sum(kept.values())


def test_memory_does_not_grow_with_depth() -> None:
    """No more than two pairs of streams are kept, however many modules there are."""
    x, _ = make_inputs()
    sizes = {depth: kept_bytes(make_group(depth=depth, exits=[depth]), x) for depth in (6, 12, 13, 24, 96)}
    assert max(sizes.values()) == 4 * x.nbytes
    assert sizes[13] == sizes[24] == sizes[96] == 3 * x.nbytes


def test_gradients_of_a_deep_group() -> None:
    """Its streams are made again several times over on the way back."""
    group, (x, extra) = make_group(depth=40, exits=[17, 40]), make_inputs()
    assert_same(gradients(group, "reversible", x, extra), gradients(group, "plain", x, extra), 1e-8)


def test_a_checkpoint_around_a_group() -> None:
    """It hands over what the group saved only once."""
    for depth in (8, 24):
        group, (x, extra) = make_group(depth=depth, exits=[depth]), make_inputs()

        def outer(x: Tensor, group: ReversibleGroup = group, extra: Extra = extra) -> list[Tensor]:
            return group(x, extra, "reversible")

        exits = torch.utils.checkpoint.checkpoint(outer, x, use_reentrant=False)
        found = torch.autograd.grad(loss_of(exits), [x, *group.parameters()], allow_unused=True)
        expected = torch.autograd.grad(loss_of(outer(x)), [x, *group.parameters()], allow_unused=True)
        assert_same(list(found), list(expected), 1e-10)


@pytest.mark.parametrize("exits", [[3, 2], [0, 2], [1], [2, 2]])
def test_exits_must_ascend_to_the_end(exits: list[int]) -> None:
    with pytest.raises(ValueError, match="do not ascend"):
        ReversibleGroup([Body(), Body()], exits=exits)


def test_half_precision_loses_no_more_in_inversion_than_without() -> None:
    """A steep group, where elements that round the other way drift further than float32 may."""
    group, x = make_group(torch.float32), torch.randn(1, 4, 96, 96, requires_grad=True)
    with torch.no_grad():
        for module, coupling in zip(group.modules_, group.couplings, strict=True):
            module.conv.weight.mul_(30)
            coupling.v.fill_(0.5)

    def found(memory: Memory, half: bool) -> Tensor:
        with torch.autocast("cpu", torch.bfloat16, half):
            loss = loss_of(group(x, None, memory))
        gradients = torch.autograd.grad(loss, [x, *group.parameters()], allow_unused=True)
        return torch.cat([gradient.flatten() for gradient in gradients if gradient is not None])

    exact = found("plain", False)
    lost = {memory: (found(memory, True) - exact).norm() for memory in ("plain", "reversible")}
    assert lost["reversible"] < 1.1 * lost["plain"]


def test_drift_is_an_error_with_its_numbers() -> None:
    group, (x, _) = make_group(torch.float32), make_inputs(torch.float32)
    with torch.no_grad():
        for coupling in group.couplings:
            coupling.v.fill_(1e-3)
    with pytest.raises(NumericalError, match=r"relative drift \d.*allowed 1e-03.*0\.001, 0\.001"):
        loss_of(group(x, None, "reversible")).backward()
    group.couplings[0].constrain_()
    assert group.couplings[0].v.item() == pytest.approx(0.05)


def test_the_checker_reports_a_group_that_is_not_what_it_was() -> None:
    class Forgetful(Body):
        calls = 0

        def forward(self, x: Tensor, context: Extra | None) -> Tensor:
            self.calls += 1
            return super().forward(x, context) * (1 + 1e-4 * self.calls)

    x, _ = make_inputs()
    good = check_reversible(make_group(depth=3, exits=[3]), x)
    assert max(good[:4]) < 1e-12
    bad = check_reversible(ReversibleGroup([Forgetful() for _ in range(3)]).double(), x)
    assert bad.output > 1e-6 and bad.gradient > 1e-6
