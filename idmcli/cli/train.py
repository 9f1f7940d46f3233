"""``idm train``: from pictures to weights."""

from __future__ import annotations

import os
import shlex
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer

from idmcli.cli.options import (
    ConfigOption,
    DeviceOption,
    PresetOption,
    PrintConfigOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    output_flags,
    output_of,
    size_of,
)
from idmcli.cli.processes import connected_processes, mute_followers
from idmcli.cli.shown import TRAINING, show_config
from idmcli.errors import InputError


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
            help="Weights to start from: a prior, or a network of the same kind, as a file or by the name of one that "
            "comes with idm. At full size also a model of diffusers (folder or hub name), or a released checkpoint.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Run folder; runs/PRESET if not given.")
    ] = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the run in its folder, with the configuration and the pictures it was started with.",
        ),
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
    precision: Annotated[
        Literal["float32", "bf16", "auto"] | None,
        typer.Option("--precision", help="auto: bf16 where the device computes in it.", rich_help_panel="Computation"),
    ] = None,
    device: DeviceOption = "auto",
    seed: SeedOption = None,
    threads: ThreadsOption = None,
) -> None:
    """Train a network: a prior (a noise estimator), or from a prior the whole reconstruction.

    Example: idm train --preset prior-grey --data photos

    Example: idm train --preset cs-tiny --data photos --init prior-grey

    Example: idm train --resume --out runs/cs-tiny --data photos
    """
    from idmcli.config import load_config

    output = output_of(context)
    mute_followers(output)
    if preset is None and config is None and not resume and not settings:
        raise InputError("nothing says what to train", "name a --preset; `idm presets` lists them")
    folder = out or Path("runs") / (preset or "run")
    budget = size_of("--memory-budget", memory_budget)
    flags = {
        "--seed": ("training.seed", seed),
        "--threads": ("training.threads", threads),
        "--precision": ("training.precision", precision),
        "--memory-budget": ("training.memory_budget", budget),
        "implied by --memory-budget": ("training.memory", None if budget is None else "auto"),
    }
    if resume:
        if config is not None or init is not None:
            raise InputError(
                "--resume takes its configuration and weights from the run", "leave out --config and --init"
            )
        preset, config = None, folder / "config.toml"
        if not config.is_file():
            raise InputError(f"there is no run to resume in {str(folder)!r}", "name its folder with --out")
    loaded = load_config(preset, config, settings or (), os.environ, flags)
    if print_config:
        return show_config(output, loaded, TRAINING)
    if not data:
        raise InputError("no pictures to train on", "name a folder with --data")

    from idmcli.methods import check_options
    from idmcli.runs.workflow import run_training
    from idmcli.training.run_folder import RunFolder

    check_options(loaded.config.solver)
    run = RunFolder(folder)
    with connected_processes(output, device, loaded.config.training.threads) as processes:
        try:
            found = run_training(
                loaded.config, data, run, processes=processes, listener=output, init=init, resume=resume
            )
        except (KeyboardInterrupt, SystemExit):
            if run.checkpoint.exists():
                again = shlex.join(["idm", "train", "--resume", "--out", str(folder), *(f"--data={d}" for d in data)])
                output.hint(f"stopped and saved; continue with: {again}")
            raise
    result = {
        "weights": run.weights,
        "folder": folder,
        "init": found.start and {"source": init, **asdict(found.start)},
        "validation": found.validation,
    }
    scores = ", ".join(f"{name} {value:.2f} dB" for name, value in found.validation.items())
    output.result(result, f"{run.weights}: {scores}" if scores else str(run.weights))
