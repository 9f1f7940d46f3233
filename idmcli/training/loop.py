"""The training loop: one for every stage."""

from __future__ import annotations

import resource
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from statistics import fmean
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

import torch
from torch import Tensor

from idmcli.distributed import Processes
from idmcli.errors import NumericalError
from idmcli.training.progress import Progress
from idmcli.training.step import Step
from idmcli.training.validation import Validation
from idmcli.training.workers import STOPS, in_workers

if TYPE_CHECKING:
    from idmcli.training.run_folder import RunFolder

T = TypeVar("T")
MAX_BAD_STEPS = 10


class Stage(Protocol):
    """A kind of training: a loss of crops in an iteration, and a validation.

    ``draw`` gives everything random about the crops with these numbers, and depends on nothing else: it may run in
    another process, ahead of time.
    """

    def draw(self, numbers: Sequence[int]) -> Any: ...
    def loss(self, model: Any, iteration: int, numbers: Sequence[int], drawn: Any) -> tuple[Tensor, float]: ...
    def validate(self, model: Any) -> Validation: ...


@dataclass(frozen=True)
class LogLine:
    """One line of the log: means since the line before, over all processes.

    Attributes:
        iteration: done so far.
        loss, psnr: of the crops.
        images_per_second: crops, of all processes together.
        learning_rate: of the last iteration.
        waiting: the share of the time in which the process that waited longest had no data, 0 .. 1.
        memory: the peak of the process that took most, in bytes: resident, or of PyTorch's allocator on a GPU.
        gradients: root mean square of the gradients' norms before clipping, for each group of parameters.
        validation: if there was one.
    """

    iteration: int
    loss: float
    psnr: float
    images_per_second: float
    learning_rate: float
    waiting: float
    memory: int
    gradients: Mapping[str, float]
    validation: Validation | None


def train(
    step: Step,
    stage: Stage,
    run: RunFolder,
    processes: Processes,
    report: Callable[[LogLine], None],
    progress: Progress,
    *,
    workers: int = 0,
) -> LogLine | None:
    """Train a network in place, up to ``training.iterations``; returns the last log line.

    Every random choice depends on the seed and the number of an iteration or a crop alone, and the checkpoint holds
    model, average, optimisers and progress: a resumed run continues exactly, and one in other processes up to
    rounding. A checkpoint is written as soon as its weights have given a usual loss, in the next iteration. The last
    checkpoint of a run is written at once, also if the run is stopped.

    Args:
        step: the network with its optimisers, as :meth:`RunFolder.restore` left them or new.
        stage: the loss, see :class:`Stage`.
        run: where checkpoints and metrics go; rows from after what is done are dropped.
        processes: the processes that train; the first alone writes and validates.
        report: called every ``log_every`` iterations, in the first.
        progress: what was done before; it is brought up to date.
        workers: processes that draw the crops; none with 0.

    Raises:
        NumericalError: the loss stayed non-finite for 10 steps in a row; the last checkpoint is intact.
        ResourceError: the run folder has gone, or its disk is full.
        KeyboardInterrupt, SystemExit: after Ctrl-C, SIGTERM or SIGHUP in any process, once the step is finished and
            saved.
    """
    config, parts, start = step.config, step.config.accumulate, progress.done
    line, bad, due = None, 0, False
    sound = -1  # the iterations done at the last checkpoint whose weights gave a usual loss
    if processes.leads:
        run.drop_metrics_after(start)
    shares = Shares(processes, config.batch, parts, range(start, config.iterations))
    drawn = in_workers(
        lambda share: (*share, stage.draw(share[1])), shares, workers, pin=processes.device.type == "cuda"
    )

    with _stop_requests() as requested, closing(drawn):
        data, since = Timed(drawn, progress.waited), time.perf_counter() - progress.seconds
        for iteration in range(start, config.iterations):
            rate = step.set_rates(iteration)
            own_loss, own_score = step.gradients(stage.loss, islice(data, parts), parts)
            rows = processes.exchange([own_loss.item(), own_score, requested()])
            loss, score = (sum(row[column] for row in rows) / processes.size for column in (0, 1))
            stop = int(max(row[2] for row in rows))
            progress.seconds, progress.waited = time.perf_counter() - since, data.seconds
            due = due or (iteration % config.checkpoint_every == 0 and iteration > start)
            if (due or iteration == start > 0) and progress.is_usual(loss):
                if due and processes.leads:
                    run.save(step.model, step.average, step.optimisers, progress)
                due, sound = False, iteration
            if step.update(loss):
                progress.add(loss, score, {name: float(norm) for name, norm in step.norms.items()})
                bad = 0
            elif (bad := bad + 1) == MAX_BAD_STEPS:
                raise processes.reported_once(
                    NumericalError(
                        f"the loss was not finite for {bad} iterations in a row, up to iteration {iteration + 1}",
                        "lower training.learning_rate or set training.gradient_clip; " + _what_is_left(run, sound),
                    )
                )

            done = progress.done = iteration + 1
            last = done == config.iterations
            validating = done % config.validate_every == 0 or last
            validation = stage.validate(step.average.module) if validating and processes.leads else None
            if progress.losses and (done % config.log_every == 0 or validating):
                now = time.perf_counter()
                usage = processes.exchange([data.seconds / (now - since), peak_memory(processes.device)])
                line = LogLine(
                    iteration=done,
                    loss=fmean(progress.losses),
                    psnr=fmean(progress.scores),
                    images_per_second=len(progress.losses) * config.batch / (now - since),
                    learning_rate=rate,
                    waiting=max(row[0] for row in usage),
                    memory=int(max(row[1] for row in usage)),
                    gradients=progress.gradients(),
                    validation=validation,
                )
                if processes.leads:
                    run.log(line)
                    if validation:
                        run.write_sample(done, validation)
                    report(line)
                progress.start_line()
                since, data.seconds = now, 0.0
            if processes.leads and (last or stop):
                run.save(step.model, step.average, step.optimisers, progress)
            if stop:
                processes.barrier()  # the first has saved before another one's end makes torchrun end all
                raise processes.reported_once(_stopped(stop))
    return line


class Shares(Sequence[tuple[int, range]]):
    """The work of a process: an iteration and the numbers of the crops of one part of its share in it."""

    def __init__(self, processes: Processes, batch: int, parts: int, iterations: range) -> None:
        self._processes, self._batch, self._parts, self._iterations = processes, batch, parts, iterations

    def __len__(self) -> int:
        return len(self._iterations) * self._parts

    def __getitem__(self, index: Any) -> Any:
        iteration, part = self._iterations[index // self._parts], index % self._parts
        return iteration, self._processes.crops(iteration, self._batch, part, self._parts)


class Timed(Iterator[T]):
    """An iterator that knows for how long it was waited for, in ``seconds``."""

    def __init__(self, iterator: Iterator[T], seconds: float = 0.0) -> None:
        self._iterator, self.seconds = iterator, seconds

    def __next__(self) -> T:
        start = time.perf_counter()
        try:
            return next(self._iterator)
        finally:
            self.seconds += time.perf_counter() - start


def peak_memory(device: torch.device) -> int:
    """The most that this process has held, in bytes: of PyTorch's allocator on a GPU, resident elsewhere."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def _what_is_left(run: RunFolder, sound: int) -> str:
    """The state that a diverged run leaves behind."""
    if sound < 0:
        return "there is no checkpoint whose weights gave a usual loss"
    return f"{run.checkpoint} holds the weights of iteration {sound}, which gave a usual loss"


def _stopped(number: int) -> BaseException:
    return KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)


@contextmanager
def _stop_requests() -> Iterator[Callable[[], int]]:
    """Turn the first Ctrl-C, SIGTERM or SIGHUP into a request that the loop reads; a second one acts at once.

    Yields the number of the signal that came, 0 before. One that is ignored, as nohup and cron have it, stays ignored.
    """
    request: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if request:
            raise _stopped(request[0])
        request.append(number)

    heeded = [number for number in STOPS if signal.getsignal(number) is not signal.SIG_IGN]
    previous = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield lambda: request[0] if request else 0
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
