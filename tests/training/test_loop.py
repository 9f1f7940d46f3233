"""The training loop: it learns, averages, stops, resumes bit for bit, and refuses to diverge."""

from __future__ import annotations

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from idmcli.config import TrainingConfig
from idmcli.distributed import Processes
from idmcli.errors import InputError, NumericalError
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.training import loop
from idmcli.training.data import CropPool
from idmcli.training.loop import MAX_BAD_STEPS, LogLine
from idmcli.training.prior import PriorStage
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step
from idmcli.training.validation import Validation

CPU = torch.device("cpu")
CONFIG = TrainingConfig(
    iterations=12, batch=2, warmup=2, ema=0.9, learning_rate=1e-3, checkpoint_every=4, log_every=3, validate_every=6
)


def model(seed: int = 0) -> Denoiser:
    torch.manual_seed(seed)
    return Denoiser(DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1))))


def prior_stage() -> PriorStage:
    images = [np.random.default_rng(k).random((1, 24, 24), dtype=np.float32) for k in range(3)]
    pool = CropPool(images, 16)
    return PriorStage(pool, pool, 0.01, 1.5, "l1", 0, CPU)


@dataclass
class Regression:
    """Fit one vector; ``fail`` are iterations whose loss is not finite."""

    fail: range = range(0)
    interrupt_at: int = -1
    seen: list[int] | None = None

    def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
        if self.seen is not None:
            self.seen.append(iteration)
        if iteration == self.interrupt_at:
            os.kill(os.getpid(), signal.SIGTERM)
        error = model(torch.ones(1, 4)) - torch.tensor([[1.0, -2.0, 0.5, 3.0]])
        loss = error.square().mean()
        return (loss * float("nan") if iteration in self.fail else loss), float(iteration)

    def draw(self, numbers: Sequence[int]) -> None:
        return None

    def validate(self, model: Any) -> Validation:
        return Validation({"score": float(model.weight.detach().sum())}, {"truth": torch.zeros(1, 1, 8, 8)})


def linear() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def run_in(folder: Path) -> RunFolder:
    with RunFolder(folder).locked():  # once, as the folder of a run
        return RunFolder(folder)


def silent(line: LogLine) -> None:
    return None


def train(
    model: nn.Module,
    stage: Any,
    config: TrainingConfig,
    run: RunFolder,
    report: Callable[[LogLine], None],
    *,
    resume: bool = False,
) -> tuple[Any, LogLine | None]:
    """Train to the end; the average and the last line."""
    step = Step(model, config)
    progress = run.restore(step.model, step.average, step.optimisers) if resume else Progress()
    last = loop.train(step, stage, run, Processes(CPU), report, progress)
    return step.average.module, last


def test_the_loss_falls(tmp_path: Path) -> None:
    lines: list[LogLine] = []
    config = replace(CONFIG, iterations=200, learning_rate=0.05, log_every=20, validate_every=100)
    _, last = train(linear(), Regression(), config, run_in(tmp_path), lines.append)
    assert lines[-1] is last and last is not None
    assert last.loss < 0.02 * lines[0].loss
    assert [line.iteration for line in lines] == list(range(20, 201, 20))
    assert [bool(line.validation) for line in lines] == [False] * 4 + [True] + [False] * 4 + [True]


def test_log_lines_are_means_since_the_line_before(tmp_path: Path) -> None:
    lines: list[LogLine] = []
    train(linear(), Regression(), replace(CONFIG, validate_every=100), run_in(tmp_path), lines.append)
    assert [line.psnr for line in lines] == [1, 4, 7, 10]
    assert all(line.images_per_second > 0 for line in lines)
    assert lines[-1].learning_rate < lines[0].learning_rate


def test_the_average_by_hand(tmp_path: Path) -> None:
    """``average += w (new - average)``, w = max(1 - ema, 9 / (10 + n)); the first is a copy."""
    weights: list[Tensor] = []
    network = linear()

    class Watch(Regression):
        def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            weights.append(model.weight.detach().clone())
            return super().loss(model, iteration, numbers, drawn)

    average, _ = train(network, Watch(), replace(CONFIG, ema=0.6), run_in(tmp_path), silent)
    weights.append(network.weight.detach().clone())
    expected = weights[1]
    for count, weight in enumerate(weights[2:], start=1):
        expected = expected + max(0.4, 9 / (10 + count)) * (weight - expected)
    torch.testing.assert_close(average.weight.detach(), expected)
    assert not torch.allclose(average.weight, network.weight)


def test_weights_stay_in_their_range(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = InvertibleDiffusion(SamplerConfig(DenoiserConfig(UNetConfig(channels=(4,), blocks=(1,), steps=2))))

    class Push(Regression):
        def loss(
            self, model: InvertibleDiffusion, iteration: int, numbers: Sequence[int], drawn: Any
        ) -> tuple[Tensor, float]:
            return -model.couplings[0].v + model.couplings[1].v - model.rule.alpha.sum(), 0.0

        def validate(self, model: Any) -> Validation:
            return Validation({}, {"truth": torch.zeros(1, 1, 8, 8)})

    config = replace(CONFIG, iterations=30, learning_rate=0.1, warmup=0, gradient_clip=0)
    train(network, Push(), config, run_in(tmp_path), silent)
    assert [coupling.v.item() for coupling in network.couplings] == pytest.approx([0.95, 0.05])
    assert network.rule.alpha.max().item() == pytest.approx(0.999)


class Stop(Exception):
    """What ends a run in the middle, like a crash."""


def state(model: nn.Module, average: nn.Module) -> dict[str, Tensor]:
    return {**model.state_dict(), **{f"average.{name}": tensor for name, tensor in average.state_dict().items()}}


@pytest.mark.parametrize("optimizer", ["adamw", "muon", "adam"])
def test_a_resumed_run_is_equal_bit_for_bit(optimizer: Any, tmp_path: Path) -> None:
    config = replace(CONFIG, optimizer=optimizer)
    whole, run = model(), run_in(tmp_path / "whole")
    average, _ = train(whole, prior_stage(), config, run, silent)

    @dataclass(frozen=True)
    class Crashing(PriorStage):
        def loss(self, model: Denoiser, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            if iteration == 11:
                raise Stop
            return super().loss(model, iteration, numbers, drawn)

    broken = run_in(tmp_path / "broken")
    with pytest.raises(Stop):
        train(model(), Crashing(**vars(prior_stage())), config, broken, silent)
    again = model(seed=5)  # everything must come from the checkpoint
    average_again, _ = train(again, prior_stage(), config, broken, silent, resume=True)
    expected, found = state(whole, average), state(again, average_again)
    assert [name for name in expected if not torch.equal(expected[name], found[name])] == []
    saved = [torch.load(folder.checkpoint, weights_only=True) for folder in (run, broken)]
    torch.testing.assert_close(saved[0]["optimisers"], saved[1]["optimisers"], rtol=0, atol=0)
    assert saved[0]["iteration"] == saved[1]["iteration"] == 12


def iterations_of(run: RunFolder) -> list[int]:
    return [int(row.split(",")[0]) for row in run.metrics.read_text().splitlines()[1:]]


def test_metrics_have_no_duplicates_after_a_crash(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = replace(CONFIG, log_every=1, checkpoint_every=5)

    class Crashing(Regression):
        def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            if iteration == 8:
                raise Stop
            return super().loss(model, iteration, numbers, drawn)

    with pytest.raises(Stop):
        train(linear(), Crashing(), config, run, silent)
    assert iterations_of(run) == list(range(1, 9))
    train(linear(), Regression(), config, run, silent, resume=True)
    assert iterations_of(run) == list(range(1, 13))


def test_sigterm_finishes_the_step_and_saves(tmp_path: Path) -> None:
    run, seen = run_in(tmp_path), list[int]()
    handler = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as caught:
        train(linear(), Regression(interrupt_at=6, seen=seen), CONFIG, run, silent)
    assert caught.value.code == 143 and signal.getsignal(signal.SIGTERM) is handler
    assert seen == list(range(7))
    train(linear(), Regression(seen=seen), CONFIG, run, silent, resume=True)
    assert seen == list(range(12))


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_signal_that_is_ignored_stays_ignored(number: signal.Signals, code: int, tmp_path: Path) -> None:
    class Twice(Regression):
        def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            if iteration == 5:
                os.kill(os.getpid(), number)
            return super().loss(model, iteration, numbers, drawn)

    run = run_in(tmp_path)
    with pytest.raises(SystemExit) as caught:
        train(linear(), Twice(), CONFIG, run, silent)
    assert caught.value.code == code
    before = signal.signal(number, signal.SIG_IGN)
    try:
        _, last = train(linear(), Twice(), CONFIG, run, silent)
        assert last is not None and last.iteration == 12
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_a_second_signal_acts_at_once(tmp_path: Path) -> None:
    class Twice(Regression):
        def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            if iteration == 5:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)
                raise AssertionError("not reached")
            return super().loss(model, iteration, numbers, drawn)

    run = run_in(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        train(linear(), Twice(), CONFIG, run, silent)
    assert torch.load(run.checkpoint, weights_only=True)["iteration"] == 4


def test_a_finished_run_resumes_to_the_same_result(tmp_path: Path) -> None:
    run, seen = run_in(tmp_path), list[int]()
    average, _ = train(linear(), Regression(), CONFIG, run, silent)
    again, last = train(linear(), Regression(seen=seen), CONFIG, run, silent, resume=True)
    assert torch.equal(again.weight, average.weight) and last is None and seen == []


def test_nothing_to_resume(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no checkpoint"):
        train(linear(), Regression(), CONFIG, run_in(tmp_path), silent, resume=True)


def test_a_few_bad_steps_are_skipped(tmp_path: Path) -> None:
    network = linear()
    train(network, Regression(fail=range(3, 9)), CONFIG, run_in(tmp_path), silent)
    assert all(bool(parameter.isfinite().all()) for parameter in network.parameters())


def test_a_diverged_run_stops_with_its_checkpoint_intact(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    config = replace(CONFIG, iterations=50, checkpoint_every=2)
    with pytest.raises(NumericalError, match=f"{MAX_BAD_STEPS} iterations in a row, up to iteration 17") as caught:
        train(linear(), Regression(fail=range(7, 50)), config, run, silent)
    assert f"{run.checkpoint} holds the weights of iteration 6, which gave a usual loss" in caught.value.hint
    saved = torch.load(run.checkpoint, weights_only=True)
    assert all(bool(tensor.isfinite().all()) for tensor in saved["model"].values())
    train(linear(), Regression(), config, run, silent, resume=True)


@dataclass
class Exploding(Regression):
    """The loss grows a thousandfold in each iteration from ``explode`` on, and is finite for long."""

    explode: int = 0

    def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
        loss, score = super().loss(model, iteration, numbers, drawn)
        return loss * 1000.0 ** max(0, iteration + 1 - self.explode), score


def test_weights_that_gave_an_unusual_loss_replace_no_checkpoint(tmp_path: Path) -> None:
    """Growing but finite, the loss gives the disaster away, and the checkpoint stays one from before it."""
    run, config = run_in(tmp_path), replace(CONFIG, iterations=60, checkpoint_every=1)
    with pytest.raises(NumericalError) as caught:
        train(linear(), Exploding(explode=20), config, run, silent)
    assert f"{run.checkpoint} holds the weights of iteration 19, which gave a usual loss" in caught.value.hint
    assert torch.load(run.checkpoint, weights_only=True)["iteration"] == 19


def test_a_learning_rate_far_too_large_leaves_no_checkpoint_that_is_called_good(tmp_path: Path) -> None:
    run, network = run_in(tmp_path), linear()
    config = replace(CONFIG, iterations=60, warmup=0, learning_rate=1e30, checkpoint_every=1)
    with pytest.raises(NumericalError) as caught:
        train(network, Regression(), config, run, silent)
    assert network.weight.abs().max() > 1e29
    assert "no checkpoint whose weights gave a usual loss" in caught.value.hint and not run.checkpoint.exists()


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_that_is_not_finite_never_reaches_the_weights(clip: float, tmp_path: Path) -> None:
    class Root(Regression):
        def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]:
            return (model.weight * 0).sum().sqrt() + model.bias.square().sum(), 0.0  # 0, with an infinite slope

    run, network = run_in(tmp_path), linear()
    before = network.weight.detach().clone()
    with pytest.raises(NumericalError):
        train(network, Root(), replace(CONFIG, gradient_clip=clip, checkpoint_every=1), run, silent)
    assert torch.equal(network.weight, before)
    assert bool(torch.load(run.checkpoint, weights_only=True)["model"]["weight"].isfinite().all())


@pytest.mark.parametrize("clip", [0.0, 1e-3])
def test_gradients_are_clipped(clip: float, tmp_path: Path) -> None:
    norms = []

    class Watch(Regression):
        def validate(self, model: Any) -> Validation:
            return Validation({}, {"truth": torch.zeros(1, 1, 8, 8)})

    network = linear()
    original = torch.optim.AdamW.step

    def step(self: Any, closure: Any = None) -> Any:
        grads = [parameter.grad for group in self.param_groups for parameter in group["params"]]
        norms.append(float(torch.stack([grad.norm() for grad in grads]).norm()))
        return original(self, closure)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(torch.optim.AdamW, "step", step)
        train(network, Watch(), replace(CONFIG, gradient_clip=clip), run_in(tmp_path), silent)
    assert len(norms) == 12
    assert max(norms) == pytest.approx(1e-3, rel=0.01) if clip else max(norms) > 1.01


def test_bf16_keeps_weights_loss_and_both_ends_in_float32(tmp_path: Path) -> None:
    network = model()
    kinds: dict[str, torch.dtype] = {}

    def watch(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        kinds.setdefault(name, output.dtype)  # validation comes later, in float32

    for name in ("conv_in", "middle.modules_.0.conv1", "conv_out"):
        network.unet.get_submodule(name).register_forward_hook(partial(watch, name))
    _, last = train(network, prior_stage(), replace(CONFIG, precision="bf16"), run_in(tmp_path), silent)
    assert kinds == {"conv_in": torch.float32, "middle.modules_.0.conv1": torch.bfloat16, "conv_out": torch.float32}
    assert last is not None and last.loss > 0
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}


@pytest.mark.parametrize("workers", [0, 2])
def test_a_batch_in_parts_is_the_batch(workers: int, tmp_path: Path) -> None:
    """Up to rounding: the same crops, the mean of the parts' losses and gradients, one update."""
    moved, lines = {}, {}
    for parts in (1, 2, 4):
        network, logged = model(), list[LogLine]()
        start = {name: tensor.clone() for name, tensor in network.state_dict().items()}
        config = replace(CONFIG, iterations=4, batch=4, accumulate=parts, log_every=2)
        run = run_in(tmp_path / str(parts))
        loop.train(
            Step(network, config), prior_stage(), run, Processes(CPU), logged.append, Progress(), workers=workers
        )
        moved[parts] = torch.cat([(network.state_dict()[name] - start[name]).flatten() for name in start])
        lines[parts] = logged
    for parts in (2, 4):
        assert (moved[parts] - moved[1]).norm() < 1e-3 * moved[1].norm()
        for line, whole in zip(lines[parts], lines[1], strict=True):
            assert line.loss == pytest.approx(whole.loss, rel=1e-4)
            assert line.psnr == pytest.approx(whole.psnr, abs=1e-2)


def test_waiting_for_data_is_measured(tmp_path: Path) -> None:
    class Slow(Regression):
        def draw(self, numbers: Sequence[int]) -> None:
            time.sleep(0.02)

    lines: list[LogLine] = []
    train(linear(), Slow(), CONFIG, run_in(tmp_path), lines.append)
    assert all(0.3 < line.waiting <= 1 for line in lines)  # nearly all there is to do
    assert all(2**24 < line.memory < 2**40 for line in lines)
    with run_in(tmp_path).metrics.open() as file:
        assert [float(row["waiting"]) for row in csv.DictReader(file)] == [round(line.waiting, 4) for line in lines]


def test_a_validation_leaves_pictures(tmp_path: Path) -> None:
    run = run_in(tmp_path)
    train(model(), prior_stage(), CONFIG, run, silent)
    assert [path.name for path in sorted(run.samples.iterdir())] == ["0000006.png", "0000012.png"]


SCRIPT = """
import os, random, signal, sys, time
from dataclasses import replace
from pathlib import Path
import torch, torch._dynamo  # which the optimisers import: here, and not again in each process that is killed
from tests_loop import LONG, model, prior_stage, silent, train
from idmcli.training.run_folder import RunFolder

run = RunFolder(Path(sys.argv[1]))

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

def half(state, file, save=torch.save):
    file.write(b"half of a checkpoint")
    file.flush()
    die()

def at_checkpoint(act, replace=os.replace):
    # Die where a checkpoint takes its name, before or after.
    def moved(source, target):
        if Path(target).name == "checkpoint.pt":
            act(source, target)
            die()
        replace(source, target)
    return moved

def attempt(after=None, **broken):
    child = os.fork()
    if child == 0:
        torch.save = broken.get("save", torch.save)
        os.replace = broken.get("replace", os.replace)
        resume = run.checkpoint.exists()
        with run.locked():
            train(model(seed=5 if resume else 0), prior_stage(), LONG, run, silent, resume=resume)
        os._exit(0)
    if after is not None:
        time.sleep(after)
        os.kill(child, signal.SIGKILL)
    return os.waitpid(child, 0)[1]

before, after = at_checkpoint(lambda *paths: None), at_checkpoint(os.replace)
killed = [attempt(after=0.0), attempt(save=half), attempt(replace=before), attempt(replace=after)]
assert killed == [signal.SIGKILL] * 4
assert torch.load(run.checkpoint, weights_only=True)["iteration"] == 2
killed += [attempt(save=half), attempt(replace=before), attempt(replace=after)]
assert killed == [signal.SIGKILL] * 7
random.seed(3)
killed += [attempt(after=random.uniform(0, 0.3)) for _ in range(4)]
assert attempt() == 0
"""
LOGGED = ("iteration", "loss", "psnr", "learning_rate", "gradients_weights", "validation_psnr_sigma_0.1")
LONG = replace(CONFIG, optimizer="muon", iterations=24, checkpoint_every=2, log_every=3, validate_every=12)


def test_kill_minus_nine_at_any_moment_then_resume(tmp_path: Path) -> None:
    """Killed at random moments and in the middle of a save, a run ends as one in one piece does, to the last bit, and
    so does its log, whose lines are means over iterations before and after a kill."""
    run, whole = run_in(tmp_path / "run"), run_in(tmp_path / "whole")
    (tmp_path / "tests_loop.py").write_bytes(Path(__file__).read_bytes())
    env = os.environ | {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", SCRIPT, run.path], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    train(model(), prior_stage(), LONG, whole, silent)
    torch.set_num_threads(threads)
    states = [torch.load(folder.checkpoint, weights_only=True) for folder in (run, whole)]
    for state in states:
        del state["progress"]["seconds"], state["progress"]["waited"]
    torch.testing.assert_close(states[0], states[1], rtol=0, atol=0)
    logs = []
    for folder in (run, whole):
        with folder.metrics.open(newline="") as file:
            rows = list(csv.DictReader(file))
        logs.append([[row[name] for name in LOGGED] for row in rows])
    assert logs[0] == logs[1] and len(logs[0]) == 8 and logs[0][3][-1] and not logs[0][2][-1]
    names = [sorted(path.name for path in folder.path.rglob("*") if path.name != ".lock") for folder in (run, whole)]
    assert names[0] == names[1]  # nothing half-written is left
