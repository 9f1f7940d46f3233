"""``idm eval``: PSNR and SSIM of methods over a folder of pictures, beside the published figures."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli import tasks
from idmcli.batch import refuse_existing, some_failed
from idmcli.cli.options import (
    ColourOption,
    CompileOption,
    ConfigOption,
    DeviceOption,
    EnsembleOption,
    MaxPixelsOption,
    NoiseOption,
    OverwriteOption,
    PrecisionOption,
    PresetOption,
    PrintConfigOption,
    PriorOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    TileOption,
    WeightsOption,
    WhiteOption,
    complete_method_lists,
    measuring_flags,
    output_flags,
    output_of,
    sampling_flags,
)
from idmcli.cli.output import Output
from idmcli.cli.processes import connected_processes, mute_followers
from idmcli.cli.shown import RECONSTRUCTING, show_config, with_method
from idmcli.errors import CheckFailed, ConfigError, InputError

if TYPE_CHECKING:
    from idmcli.config import Config
    from idmcli.distributed import Processes
    from idmcli.evaluation.comparison import Comparison
    from idmcli.evaluation.perceptual import Perceptual
    from idmcli.io.items import Item

ALL = "all"


@output_flags
def evaluate(
    context: typer.Context,
    folder: Annotated[Path | None, typer.Argument(metavar="[DIR]", help="Folder of pictures.")] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            metavar="DIR",
            help="Folder of pictures, as an option instead of an argument.",
            rich_help_panel="Files",
        ),
    ] = None,
    limit: Annotated[
        int | None,
        typer.Option("--limit", min=1, metavar="N", help="Only the first N pictures by name.", rich_help_panel="Files"),
    ] = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    ratio: Annotated[
        list[str] | None,
        typer.Option(
            "--ratio",
            metavar="R,...",
            help="Ratios to measure at. Not given: the usual ratios of the task, 0.1,0.3,0.5 for cs.",
        ),
    ] = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    white: WhiteOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME,...",
            help="Methods to compare, or all. Not given: the default of `idm reconstruct`.",
            autocompletion=complete_method_lists,
        ),
    ] = None,
    weights: WeightsOption = None,
    prior: PriorOption = None,
    seed: SeedOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: PrecisionOption = "auto",
    ensemble: EnsembleOption = False,
    tile: TileOption = None,
    compile: CompileOption = False,
    dataset: Annotated[
        str | None,
        typer.Option(
            "--dataset",
            metavar="NAME",
            help="Name of the data in tables, which finds published figures. Not given: the name of the folder.",
            rich_help_panel="Report",
        ),
    ] = None,
    min_psnr: Annotated[
        float | None,
        typer.Option(
            "--min-psnr",
            metavar="DB",
            help="Exit with 1 if a mean PSNR is lower.",
            rich_help_panel="Report",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="DIR", help="Folder for scores.csv and scores.json.", rich_help_panel="Files"
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report",
            metavar="FILE",
            help="One HTML page with the tables, plots of PSNR over seconds, and the first three pictures.",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Compare methods on a folder of pictures: measure, reconstruct and score each picture.

    Colour pictures are reduced to their luminance, as is usual in this field, unless --colour rgb or the
    configuration asks for colour. Scores are written to --out as they are computed.

    Example: idm eval Set11 --method vamp,tv --ratio 0.1,0.3 --out scores

    Example: idm eval Set11 --method all --limit 2 --report report.html
    """
    from idmcli.config import load_config

    output = output_of(context)
    mute_followers(output)
    flags = measuring_flags(noise=noise, colour=colour, seed=seed) | sampling_flags(weights)
    source = preset, config, settings or (), os.environ
    loaded = load_config(*source, flags)
    if print_config:
        named = _methods(method, weights, prior)
        only = with_method(loaded, weights, prior, named[0]) if len(named) == 1 else loaded
        return show_config(output, only, RECONSTRUCTING)

    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.compare import check_weights_are_taken, compare, with_all_methods
    from idmcli.evaluation.comparison import FILES, Comparison
    from idmcli.evaluation.score_log import ScoreLog
    from idmcli.evaluation.tables import summarise
    from idmcli.evaluation.views import SHOWN
    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import MAX_PIXELS, find_items
    from idmcli.io.scale import scale_of
    from idmcli.methods import Methods, check_options

    most = max_pixels or MAX_PIXELS
    with connected_processes(output, device, threads) as processes:
        with processes.failing_together():
            names = _methods(method, weights, prior)
            check_options(loaded.config.solver, names or (None,))
            data = _data(folder, data)
            pictures = find_items([data])
            measured = _ratios(loaded.config, ratio)
            each = [load_config(*source, flags | {"--ratio": ("operator.ratio", value)}).config for value in measured]
            configs = [replace(c, task=replace(c.task, channels=c.task.channels or 1)) for c in each]
            name = dataset or data.resolve().name
            if limit is not None and limit < len(pictures):
                pictures = pictures[:limit]
                name = dataset or f"{name} (first {limit})"  # what is published is about all of them
            methods = Methods(
                processes.device,
                precision=precision,
                ensemble=ensemble,
                tile=tile,
                compile=compile,
                warn=output.warning,
            )
            perceptual = _perceptual(processes, output)
            comparison = Comparison(Benchmark(name, configs, names, weights, methods, prior, perceptual))
            check_weights_are_taken(methods.named(weights, prior), names)  # said before any work
            outputs = ([out / file for file in FILES] if out else []) + ([report] if report else [])
            _check_outputs(outputs, pictures, overwrite=overwrite)
            for place in {file.parent for file in outputs} if processes.leads else ():
                ensure_writable(place)
            if not names:
                comparison.benchmark, left_out = with_all_methods(comparison.benchmark, pictures, most)
                comparison.findings.left_out = left_out
                for left, reason in left_out.items():
                    output.status(f"left out {left}: {reason}")
        log = None if out is None else ScoreLog(outputs[0], outputs[1:], overwrite, begun=not processes.leads)
        if processes.size > 1:
            if log is not None and processes.leads:
                log.begin()
            processes.barrier()

        shown = pictures[:SHOWN] if report else []
        try:
            with processes.failing_together():
                compare(
                    comparison,
                    pictures,
                    processes=processes,
                    listener=output,
                    log=log,
                    shown=shown,
                    max_pixels=most,
                    scale=scale_of(None, white),
                )
        except BaseException:  # what was computed is reported, whatever ends the command
            if comparison.findings.scores and processes.size == 1:
                _write(comparison, out if log and log.begun else None, report, output, overwrite=overwrite)
            raise
        _, *others = processes.gather(comparison.findings)
        for other in others:
            for message in other.warnings:
                output.warning(message)
            for item, error in other.failures:
                output.failure(item, error)
            comparison.findings.add(other)
        if comparison.findings.scores and processes.leads:
            _write(comparison, out, report, output, overwrite=overwrite)
        failed = some_failed([error for _, error in comparison.findings.failures], len(pictures))
        if failed is not None:
            raise processes.reported_once(failed)
        low = [s for s in summarise(comparison.findings.scores) if min_psnr is not None and not s.psnr >= min_psnr]
        if low:
            means = ", ".join(f"{s.method} at {s.column}: {s.psnr:.2f} dB" for s in low)
            raise processes.reported_once(CheckFailed(f"mean PSNR below {min_psnr:g} dB ({means})"))


def _write(comparison: Comparison, out: Path | None, report: Path | None, output: Output, *, overwrite: bool) -> None:
    """Print the scores, and write them to the folder ``out`` and the page ``report``."""
    document = comparison.document()
    if output.json:
        for record in document["results"]:
            output.result(record)
    rest = {key: value for key, value in document.items() if key != "results"}
    measured_on = f"Measured on {document['measured']}. {document['conventions']}"
    output.summary(rest, [*str(comparison).split("\n"), "", measured_on])
    if out is not None:
        output.status(f"wrote {', '.join(map(str, comparison.save(out)))}")
    if report is not None:
        comparison.save_page(report, shlex.join(["idm", *output.arguments]), replace=overwrite)
        output.status(f"wrote {report}")


def _check_outputs(files: Sequence[Path], pictures: Sequence[Item], *, overwrite: bool) -> None:
    """Raise InputError if a file is a picture or two are one, or one exists and may not be replaced."""
    taken = {item.path.resolve() for item in pictures}
    for file in files:
        if file.resolve() in taken:
            raise InputError(f"the output {str(file)!r} is another file of this command", "choose another name")
        taken.add(file.resolve())
    refuse_existing(files, overwrite=overwrite)


def _perceptual(processes: Processes, output: Output) -> Perceptual | None:
    """LPIPS, where it is installed and works."""
    from idmcli.evaluation.perceptual import load_lpips

    try:
        return load_lpips(processes.device)
    except ConfigError as error:
        output.warning(error.message)
        return None


def _data(folder: Path | None, option: Path | None) -> Path:
    """The folder of pictures, by either name."""
    if folder is not None and option is not None:
        raise InputError(f"{str(folder)!r} and --data {str(option)!r} both name the pictures", "leave out one of them")
    data = folder or option
    if data is None:
        raise InputError("no pictures to evaluate", "name a folder of pictures")
    if not data.is_dir():
        raise InputError(f"{str(data)!r} is not a folder", "name a folder of pictures")
    return data


def _ratios(config: Config, given: Sequence[str] | None) -> Sequence[float | None]:
    """The ratios to measure at: those given, or those at which the task is validated; None where it has none."""
    if given:
        return sorted({_ratio(text) for text in _split(given)})
    task = tasks.find(config.task.kind)
    return [task.ratio(options) for options in task.validation(config.operator)]


def _ratio(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value <= 1:
        raise InputError(f"--ratio {text!r} is not a number above 0 and at most 1", "give ratios like 0.1,0.3,0.5")
    return value


def _methods(names: Sequence[str] | None, weights: Path | None, prior: str | None) -> list[str | None]:
    """The methods that were asked for: None for the default, nothing for all."""
    from idmcli import solvers

    asked = _split(names or ())
    if ALL in asked:
        return []
    methods = list(dict.fromkeys(solvers.find(name) for name in asked))  # each once, by whatever name
    if weights is not None and methods and all(solver.weights is None for solver in methods):
        raise InputError("none of these methods takes weights", "leave out --weights or choose another --method")
    if prior is not None and methods and all(solver.weights not in ("prior", "latent") for solver in methods):
        raise InputError("none of these methods takes a prior", "leave out --prior or choose another --method")
    return [solver.name for solver in methods] or [None]


def _split(values: Sequence[str]) -> list[str]:
    """The items of options that may be repeated and hold several, separated by commas."""
    return [item.strip() for value in values for item in value.split(",")]
