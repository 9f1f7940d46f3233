"""The training loop: one for every stage."""

from __future__ import annotations

import math
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from idmcli.errors import NumericalError
from idmcli.training.optimisers import build_optimisers, learning_rate_factor
from idmcli.training.run_folder import RunFolder

if TYPE_CHECKING:
    from idmcli.config import TrainingConfig

MAX_BAD_STEPS = 10


class Stage(Protocol):
    """What is trained: a loss per iteration, and a validation."""

    def loss(self, model: Any, iteration: int) -> tuple[Tensor, float]: ...
    def validate(self, model: Any) -> dict[str, float]: ...


@runtime_checkable
class Constrained(Protocol):
    """A module whose parameters have a range, restored after every optimiser step."""

    def constrain_(self) -> None: ...


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
    model: nn.Module,
    stage: Stage,
    config: TrainingConfig,
    run: RunFolder,
    report: Callable[[Progress], None],
    *,
    resume: bool = False,
) -> tuple[Any, Progress | None]:
    """Train ``model`` in place; returns its exponential moving average and the last log line.

    Every random choice depends on (seed, iteration) alone, and the checkpoint holds model, average,
    optimisers and iteration: a resumed run continues exactly.

    Args:
        model: what to train, on its device.
        stage: the loss, see :class:`Stage`.
        config: the [training] section.
        run: where checkpoints and metrics go.
        report: called every ``log_every`` iterations.
        resume: continue from the run's checkpoint.

    Raises:
        NumericalError: the loss stayed non-finite for 10 steps in a row; the last checkpoint is intact.
        KeyboardInterrupt, SystemExit: after Ctrl-C or SIGTERM, once the step is finished and saved.
    """
    optimisers = build_optimisers(model, config)
    base_rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in optimisers]
    average = AveragedModel(model, multi_avg_fn=moving_average(config.ema))
    start = run.restore(model, average, optimisers) if resume else 0
    constraints = [module.constrain_ for module in model.modules() if isinstance(module, Constrained)]
    losses: list[float] = []
    scores: list[float] = []
    line, bad, since = None, 0, time.perf_counter()
    device_type = next(model.parameters()).device.type

    with _stop_requests() as requested:
        for iteration in range(start, config.iterations):
            factor = learning_rate_factor(config, iteration)
            for optimiser, rates in zip(optimisers, base_rates, strict=True):
                for group, rate in zip(optimiser.param_groups, rates, strict=True):
                    group["lr"] = rate * factor
            with torch.autocast(device_type, torch.bfloat16, enabled=config.precision == "bf16"):
                loss, score = stage.loss(model, iteration)
            loss.backward()  # type: ignore[no-untyped-call]
            norm = nn.utils.clip_grad_norm_(model.parameters(), config.gradient_clip or math.inf)
            if torch.isfinite(loss) and torch.isfinite(norm):
                for optimiser in optimisers:
                    optimiser.step()
                for constrain in constraints:
                    constrain()
                average.update_parameters(model)
                losses.append(loss.item())
                scores.append(score)
                bad = 0
            elif (bad := bad + 1) == MAX_BAD_STEPS:
                raise NumericalError(
                    f"the loss was not finite for {bad} iterations in a row, up to iteration {iteration + 1}",
                    "lower training.learning_rate or set training.gradient_clip; "
                    f"{run.checkpoint} holds the last good state",
                )
            model.zero_grad(set_to_none=True)

            done = iteration + 1
            stop, last = requested(), done == config.iterations
            if done % config.validate_every == 0 or last:
                validation = stage.validate(average.module)
            else:
                validation = {}
            if losses and (done % config.log_every == 0 or validation):
                now = time.perf_counter()
                line = Progress(
                    done,
                    sum(losses) / len(losses),
                    sum(scores) / len(scores),
                    len(losses) * config.batch / (now - since),
                    config.learning_rate * factor,
                    validation,
                )
                run.log(line)
                report(line)
                losses, scores, since = [], [], now
            if done % config.checkpoint_every == 0 or last or stop:
                run.save(model, average, optimisers, done)
            if stop:
                raise stop
    return average.module, line


def moving_average(decay: float) -> Callable[..., None]:
    """``average += (1 - decay) (new - average)``, with a shorter memory over the first steps."""

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor) -> None:
        weight = max(1 - decay, 9 / (10 + float(count)))
        torch._foreach_lerp_(averages, currents, weight)

    return update


@contextmanager
def _stop_requests() -> Iterator[Callable[[], BaseException | None]]:
    """Turn the first Ctrl-C or SIGTERM into a request that the loop reads; a second one acts at once."""
    request: list[BaseException] = []

    def handle(number: int, frame: FrameType | None) -> None:
        if request:
            raise request[0]
        request.append(KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number))

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: request[0] if request else None
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
