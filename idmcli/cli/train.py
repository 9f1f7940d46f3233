"""``idm train``: from pictures to weights."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli.cli.options import (
    ConfigOption,
    DeviceOption,
    PresetOption,
    PrintConfigOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    choose_device,
    output_flags,
    output_of,
    show_config,
    size_of,
)
from idmcli.errors import InputError

if TYPE_CHECKING:
    from idmcli.training.loop import Progress


@output_flags
def train(
    context: typer.Context,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="DIR", help="Folder, file or pattern of pictures; may be repeated."),
    ] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    init: Annotated[
        str | None,
        typer.Option(
            "--init",
            metavar="SOURCE",
            help="Weights to start from: a prior, the same kind, or, at full size, a diffusers model (folder or hub "
            "name) or a released checkpoint.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Run folder; runs/PRESET if not given.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in its folder, with the configuration saved there.")
    ] = False,
    memory_budget: Annotated[
        str | None,
        typer.Option(
            "--memory-budget",
            metavar="SIZE",
            help="Choose the fastest memory plan that trains within 15GiB, for example.",
            rich_help_panel="Computation",
        ),
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train a network: first a prior (a noise estimator), then, from it, the whole reconstruction.

    Example: idm train --preset prior-tiny --data photos, then
    idm train --preset cs-tiny --data photos --init runs/prior-tiny/weights.safetensors
    """
    from idmcli.config import load_config, to_toml

    output = output_of(context)
    if preset is None and config is None and not resume and not settings:
        raise InputError("nothing says what to train", "name a --preset; `idm presets` lists them")
    folder = out or Path("runs") / (preset or "run")
    budget = size_of("--memory-budget", memory_budget)
    flags = {
        "--seed": ("training.seed", seed),
        "--threads": ("training.threads", threads),
        "--memory-budget": ("training.memory_budget", budget),
        "implied by --memory-budget": ("training.memory", None if budget is None else "auto"),
    }
    if resume:
        if config is not None or init is not None:
            raise InputError(
                "--resume takes its configuration and weights from the run", "leave out --config and --init"
            )
        if not (folder / "config.toml").is_file():
            raise InputError(f"there is no run to resume in {str(folder)!r}", "name its folder with --out")
        loaded = load_config(None, folder / "config.toml", settings or (), os.environ, flags)
    else:
        loaded = load_config(preset, config, settings or (), os.environ, flags)
    if print_config:
        return show_config(output, loaded)
    if not data:
        raise InputError("no pictures to train on", "name a folder with --data")

    from idmcli.io.atomic import ensure_writable, write_text
    from idmcli.models.checkpoints import save_weights
    from idmcli.models.zoo import build_model, find_start, initialise
    from idmcli.training.build import build_stage, load_images, memory_plan
    from idmcli.training.loop import train as run_training
    from idmcli.training.run_folder import RunFolder

    settled = loaded.config
    where = choose_device(device, settled.training.threads)
    run = RunFolder(folder)
    if run.checkpoint.exists() and not resume:
        raise InputError(f"{str(folder)!r} holds a run already", "continue it with --resume, or choose another --out")
    start = find_start(init, full=settled.model.size == "full") if init is not None else None
    plan = memory_plan(settled, where, output.status) if settled.training.stage == "end-to-end" else None
    images = load_images(data, settled, output.warning)
    model = build_model(settled)
    started = initialise(model, start) if start is not None else None
    if started is not None:
        output.status(f"from {init}: {started}")
        for difference in started.differences:
            output.warning(f"{init} is another network ({difference}): the loaded blocks need training to work here")
    stage = build_stage(settled, images, where, plan)
    ensure_writable(folder)
    with run.locked():
        before = run.config.read_text() if resume else ""
        write_text(run.config, to_toml(settled))
        if not resume:
            run.metrics.unlink(missing_ok=True)  # of a run that ended before its first checkpoint
        parameters = sum(parameter.numel() for parameter in model.parameters())
        output.status(f"{len(images)} pictures, {parameters / 1e6:.2f} M parameters, run folder {folder}")
        with output.progress(settled.training.iterations, "iterations") as progress:
            shown = 0

            def report(line: Progress) -> None:
                nonlocal shown
                note = f"loss {line.loss:.4f}  {line.psnr:.2f} dB  {line.images_per_second:.1f} images/s"
                progress.advance(line.iteration - shown, note=note)
                shown = line.iteration
                if line.validation:
                    scores = "  ".join(f"{name} {value:.2f}" for name, value in line.validation.items())
                    output.status(f"iteration {line.iteration}: {note}  validation: {scores}")

            try:
                average, last = run_training(model.to(where), stage, settled.training, run, report, resume=resume)
            except (KeyboardInterrupt, SystemExit):
                again = shlex.join(["idm", "train", "--resume", "--out", str(folder), *(f"--data={d}" for d in data)])
                if run.checkpoint.exists():
                    output.hint(f"stopped and saved; continue with: {again}")
                raise
            except InputError:
                if resume:  # what was changed does not fit the checkpoint
                    write_text(run.config, before)
                raise
        record = {"config": asdict(settled), "init": init and Path(init).name, "pictures": len(images)}
        save_weights(run.weights, average, training=record, half=True)
    validation = dict(last.validation) if last else {}
    scores = ", ".join(f"{name} {value:.2f} dB" for name, value in validation.items())
    result = {
        "weights": run.weights,
        "folder": folder,
        "init": started and {"source": init, **asdict(started)},
        "validation": validation,
    }
    output.result(result, f"{run.weights}: {scores}")
