"""From pictures to weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import cast

import torch

from idmcli import learned
from idmcli.config import Config, TrainingConfig, load_config, to_toml
from idmcli.distributed import Processes
from idmcli.errors import InputError
from idmcli.io.atomic import ensure_writable, write_text
from idmcli.io.images import find_items
from idmcli.memory.budget import free_memory, memory_plan
from idmcli.models import Learned
from idmcli.models.checkpoints import save_weights
from idmcli.models.compiled import check_compiler
from idmcli.models.learned import purpose_of
from idmcli.models.start import Start, find_start, initialise
from idmcli.reporting import Count, Listener
from idmcli.reversible.plan import Plan
from idmcli.runs.build import build_stage
from idmcli.runs.precision import settle
from idmcli.runs.resume import check_config, check_data, check_iterations
from idmcli.sizes import format_size
from idmcli.training.loop import LogLine, train
from idmcli.training.optimisers import WEIGHTS, dominant_group
from idmcli.training.pictures import Pictures, find_pictures
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.scalars import scalar_log
from idmcli.training.step import Step
from idmcli.training.workers import default_workers


@dataclass(frozen=True)
class FinishedRun:
    """A finished training run.

    Attributes:
        folder: the run folder.
        start: what the network took from other weights.
        validation: scores in dB of the averaged weights; none where nothing was left to do.
    """

    folder: RunFolder
    start: Start | None
    validation: dict[str, float]

    @property
    def weights(self) -> Path:
        """The weights file."""
        return self.folder.weights


def run_training(
    config: Config,
    data: Sequence[str],
    run: RunFolder,
    *,
    processes: Processes,
    listener: Listener,
    init: str | None = None,
    resume: bool = False,
) -> FinishedRun:
    """Train, and write the run folder with the averaged weights.

    Args:
        config: the whole configuration; for a run that is resumed, see :mod:`idmcli.runs.resume`.
        data: folders, files, pages or patterns of pictures.
        run: where to; all processes read it.
        processes: the processes that train, connected.
        listener: told what goes on.
        init: the weights to start from, see :func:`idmcli.models.start.find_start`.
        resume: continue from the run's checkpoint.

    Raises:
        ConfigError: the batch cannot be shared, there is no compiler, or the kind of model trains in one process.
        InputError: pictures, weights or folder cannot be used, or belong to another run; nothing was written.
        NumericalError: training diverged.
        ResourceError: no memory plan fits; a process that prepares data was killed, or another process ended.
        KeyboardInterrupt, SystemExit: stopped, and saved if there was something to save.
    """
    with processes.failing_together():
        _check(config, processes)
        find_items(data)  # a memory plan takes long, and a missing folder is noticed at once
        kind = learned.find(config.model.kind)
        if kind.for_measurements and init is None and not resume:
            listener.warning("no --init: the network starts from random weights; a trained prior is a better start")
        settled = settle(config, processes.device)
        if resume:
            started = load_config(None, run.config).config
            check_config(settle(started, processes.device), settled)
        plan = memory_plan(settled, processes, listener.status) if kind.memory_steps(settled) else None
    return _train(settled, data, run, processes, listener, plan, init, resume)


def _check(config: Config, processes: Processes) -> None:
    """Raise an error for what can be told before any work."""
    kind, training = learned.find(config.model.kind), config.training
    processes.check_batch(training.batch, training.accumulate)
    if kind.second_part(config) and processes.size > 1:  # each part leaves weights without gradients
        raise InputError(f"{kind.noun} trains in one process", "start it without torchrun")
    if training.compile:
        check_compiler(processes.device, "training.compile")


def _train(
    config: Config,
    data: Sequence[str],
    run: RunFolder,
    processes: Processes,
    listener: Listener,
    plan: Plan | None,
    init: str | None,
    resume: bool,
) -> FinishedRun:
    """:func:`run_training` with a settled configuration and its memory plan."""
    cache = config.training.cache or free_memory(torch.device("cpu")) // (2 * processes.neighbours)
    with ExitStack() as held:
        with processes.failing_together():
            if not resume:
                run.refuse_another()  # said before any work
            if init is not None:
                find_start(init, full=getattr(config.model, "size", "") == "full")
            workers = config.training.workers
            spare = default_workers(processes.neighbours) if workers is None else workers
            pictures = find_pictures(data, config, cache, spare, listener.warning)
            model = learned.build(config)
            start = _initialise(model, init, listener) if init is not None else None
            stage = build_stage(config, pictures, processes.device, plan)
            record = {"init": init and Path(init).name, "pictures": len(pictures), "data": pictures.fingerprint}
            if processes.leads:
                ensure_writable(run.path)
                held.enter_context(run.locked())
                if not resume:
                    run.refuse_another()  # that was started meanwhile
        restart, progress = learned.find(config.model.kind).second_part(config), Progress()
        step = Step(model.to(processes.device), config.training, processes.size, restart=restart)
        with processes.failing_together():
            if resume:
                started = run.read_record()
                check_data(started, record)
                record["init"] = started.get("init")
                progress = run.restore(step.model, step.average, step.optimisers)
                check_iterations(progress.done, config.training.iterations)
        training = {"config": asdict(config), "init": record["init"], "pictures": record["pictures"]}
        purpose = purpose_of(asdict(config))
        if processes.leads:
            write_text(run.config, to_toml(config))
            described = {"kind": model.kind, "config": asdict(model.config)}
            run.write_record({**record, "weights": {**described, "training": training, "trained_for": purpose}})
        listener.status(_about(pictures, model, run, processes))
        with listener.progress(config.training.iterations, "iterations", progress.done) as count:
            board = run.path / "tensorboard"
            scalars = held.enter_context(scalar_log(board, progress.done)) if processes.leads else None
            reports = _reporter(listener, count, scalars, config.training)
            drawing = spare if pictures.streamed or workers is not None else 0
            last = train(step, stage, run, processes, reports, progress, workers=drawing)
        if processes.leads:
            average = cast(Learned, step.average.module)
            with run.there():
                save_weights(run.weights, average, training=training, trained_for=purpose, half=True)
    return FinishedRun(run, start, dict(last.validation.scores) if last and last.validation else {})


def _about(pictures: Pictures, model: Learned, run: RunFolder, processes: Processes) -> str:
    parameters = sum(parameter.numel() for parameter in model.parameters())
    streamed = f" ({pictures.streamed} of them decoded as they are needed)" if pictures.streamed else ""
    together = f", {processes.size} processes" if processes.size > 1 else ""
    return f"{len(pictures)} pictures{streamed}, {parameters / 1e6:.2f} M parameters, run folder {run.path}{together}"


def _initialise(model: Learned, init: str, listener: Listener) -> Start:
    start = initialise(model, init)
    listener.status(f"from {init}: {start}")
    for difference in start.differences:
        listener.warning(f"{init} is another network ({difference}): the loaded blocks need training to work here")
    return start


def _reporter(
    listener: Listener, count: Count, scalars: Callable[[LogLine], None] | None, training: TrainingConfig
) -> Callable[[LogLine], None]:
    """A function that tells the user, and ``scalars``, of each log line."""
    warned = False

    def report(line: LogLine) -> None:
        nonlocal warned
        if not warned and (group := dominant_group(line.gradients, training)):
            share = line.gradients[group] / max(line.gradients[WEIGHTS], 1e-30)
            listener.warning(
                f"the {group} have {share:.0f} times the gradient of all weights, and learn as fast as these: "
                f"set training.{group.removesuffix('s')}_learning_rate lower, to a tenth for example"
            )
            warned = True
        speed = f"{line.images_per_second:.1f} images/s, {100 * line.waiting:.0f} % waiting for data"
        note = f"loss {line.loss:.4f}  {line.psnr:.2f} dB  {speed}  {format_size(line.memory)}"
        note += "  gradients: " + ", ".join(f"{name} {norm:.3g}" for name, norm in line.gradients.items())
        count.advance(line.iteration - count.done, note=note)
        if line.validation:
            scores = "  ".join(f"{name} {value:.2f}" for name, value in line.validation.scores.items())
            listener.status(f"iteration {line.iteration}: {note}  validation: {scores}")
        if scalars:
            scalars(line)

    return report
