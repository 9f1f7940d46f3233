"""The training loop: one for every stage."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Any, Protocol

from torch import Tensor

from idmcli.errors import NumericalError
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step
from idmcli.training.world import World

MAX_BAD_STEPS = 10
STOPS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stage(Protocol):
    """What is trained: a loss of crops in an iteration, and a validation."""

    def loss(self, model: Any, iteration: int, numbers: Sequence[int]) -> tuple[Tensor, float]: ...
    def validate(self, model: Any) -> dict[str, float]: ...


@dataclass(frozen=True)
class Progress:
    """One line of the log: means since the line before, or validation scores."""

    iteration: int
    loss: float
    psnr: float
    images_per_second: float
    learning_rate: float
    validation: Mapping[str, float]


def train(
    step: Step, stage: Stage, run: RunFolder, world: World, report: Callable[[Progress], None], *, start: int = 0
) -> Progress | None:
    """Train a network in place, up to ``training.iterations``; returns the last log line.

    Every random choice depends on the seed and the number of an iteration or a crop alone, and the checkpoint holds
    model, average, optimisers and iteration: a resumed run continues exactly.

    Args:
        step: the network with its optimisers, as :meth:`RunFolder.restore` left them or new.
        stage: the loss, see :class:`Stage`.
        run: where checkpoints and metrics go; rows from after ``start`` are dropped.
        world: the processes that train; the first alone writes.
        report: called every ``log_every`` iterations.
        start: iterations done before.

    Raises:
        NumericalError: the loss stayed non-finite for 10 steps in a row; the last checkpoint is intact.
        KeyboardInterrupt, SystemExit: after Ctrl-C, SIGTERM or SIGHUP, once the step is finished and saved.
    """
    config = step.config
    losses: list[float] = []
    scores: list[float] = []
    line, bad, since = None, 0, time.perf_counter()
    if world.writes:
        run.drop_metrics_after(start)

    with _stop_requests() as requested:
        for iteration in range(start, config.iterations):
            rate = step.set_rates(iteration)
            loss, score = step.forward(stage.loss, iteration, world.share(iteration, config.batch))
            loss.backward()  # type: ignore[no-untyped-call]
            loss = loss.detach()
            if step.update(loss):
                losses.append(loss.item())
                scores.append(score)
                bad = 0
            elif (bad := bad + 1) == MAX_BAD_STEPS:
                raise NumericalError(
                    f"the loss was not finite for {bad} iterations in a row, up to iteration {iteration + 1}",
                    "lower training.learning_rate or set training.gradient_clip; "
                    f"{run.checkpoint} holds the last good state",
                )

            done = iteration + 1
            stop, last = requested(), done == config.iterations
            validation = stage.validate(step.average.module) if done % config.validate_every == 0 or last else {}
            if losses and (done % config.log_every == 0 or validation):
                now = time.perf_counter()
                speed = len(losses) * config.batch / (now - since)
                line = Progress(done, sum(losses) / len(losses), sum(scores) / len(scores), speed, rate, validation)
                if world.writes:
                    run.log(line)
                    report(line)
                losses, scores, since = [], [], now
            if world.writes and (done % config.checkpoint_every == 0 or last or stop):
                run.save(step.model, step.average, step.optimisers, done)
            if stop:
                raise stop
    return line


@contextmanager
def _stop_requests() -> Iterator[Callable[[], BaseException | None]]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request that the loop reads; a second one acts at once.

    A signal that is ignored, as nohup and cron have it, stays ignored.
    """
    request: list[BaseException] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if request:
            raise request[0]
        request.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))

    heeded = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield lambda: request[0] if request else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
