"""From pictures to weights in a run folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, cast

from idmcli.config import to_toml
from idmcli.errors import InputError
from idmcli.io.atomic import ensure_writable, write_text
from idmcli.models.checkpoints import Model, purpose_of, save_weights
from idmcli.models.zoo import Start, build_model, find_start, initialise
from idmcli.output import Output
from idmcli.output import Progress as Count
from idmcli.reversible.plan import Plan
from idmcli.training.build import build_stage, fingerprint, load_images
from idmcli.training.loop import Progress, train
from idmcli.training.resume import check_data, check_iterations
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step
from idmcli.training.world import World

if TYPE_CHECKING:
    from idmcli.config import Config


@dataclass(frozen=True)
class Outcome:
    """A finished run.

    Attributes:
        start: what the network took from other weights.
        validation: scores in dB of the averaged weights; none where nothing was left to do.
    """

    start: Start | None
    validation: dict[str, float]


def run_training(
    config: Config,
    data: Sequence[str],
    run: RunFolder,
    world: World,
    output: Output,
    *,
    plan: Plan | None = None,
    init: str | None = None,
    resume: bool = False,
) -> Outcome:
    """Train, and write the run folder with the averaged weights.

    Args:
        config: settled, see :func:`idmcli.training.precision.settle`.
        data: folders, files or patterns of pictures.
        run: where to.
        world: the one process that trains.
        output: told what goes on.
        plan: end-to-end: the memory plan.
        init: the weights to start from, see :func:`idmcli.models.zoo.find_start`.
        resume: continue from the run's checkpoint; its configuration may differ in what
            :mod:`idmcli.training.resume` lists.

    Raises:
        InputError: pictures, weights or folder cannot be used, or belong to another run; nothing was written.
        NumericalError: training diverged.
        KeyboardInterrupt, SystemExit: stopped, and saved if there was something to save.
    """
    if run.checkpoint.exists() and not resume:
        raise InputError(f"{str(run.path)!r} holds a run already", "continue it with --resume, or choose another --out")
    if init is not None:
        find_start(init, full=config.model.size == "full")
    images = load_images(data, config, output.warning)
    model = build_model(config)
    start = _initialise(model, init, output) if init is not None else None
    stage = build_stage(config, list(images.values()), world.device, plan)
    record = {"init": init and Path(init).name, "pictures": len(images), "data": fingerprint(images)}
    ensure_writable(run.path)
    with run.locked():
        step, done = Step(model.to(world.device), config.training), 0
        if resume:
            started = run.read_record()
            check_data(started, record)
            record["init"] = started.get("init")
            done = run.restore(step.model, step.average, step.optimisers)
            check_iterations(done, config.training.iterations)
        write_text(run.config, to_toml(config))
        run.write_record(record)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        output.status(f"{len(images)} pictures, {parameters / 1e6:.2f} M parameters, run folder {run.path}")
        with output.progress(config.training.iterations, "iterations") as progress:
            progress.advance(done)
            last = train(step, stage, run, world, _reporter(output, progress), start=done)
        settled = asdict(config)
        training = {"config": settled, "init": record["init"], "pictures": len(images)}
        model = cast(Model, step.average.module)
        save_weights(run.weights, model, training=training, trained_for=purpose_of(settled), half=True)
    return Outcome(start, dict(last.validation) if last else {})


def _initialise(model: Model, init: str, output: Output) -> Start:
    start = initialise(model, init)
    output.status(f"from {init}: {start}")
    for difference in start.differences:
        output.warning(f"{init} is another network ({difference}): the loaded blocks need training to work here")
    return start


def _reporter(output: Output, progress: Count) -> Callable[[Progress], None]:
    """What tells the user of each log line."""

    def report(line: Progress) -> None:
        note = f"loss {line.loss:.4f}  {line.psnr:.2f} dB  {line.images_per_second:.1f} images/s"
        progress.advance(line.iteration - progress.done, note=note)
        if line.validation:
            scores = "  ".join(f"{name} {value:.2f}" for name, value in line.validation.items())
            output.status(f"iteration {line.iteration}: {note}  validation: {scores}")

    return report
