"""``idm eval``: PSNR and SSIM of methods over a folder of pictures, beside the published figures."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli import tasks
from idmcli.cli.batch import refuse_existing, some_failed, try_each
from idmcli.cli.comparison import FILES, Found
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
    complete_method_lists,
    measuring_flags,
    output_flags,
    output_of,
    show_config,
)
from idmcli.cli.output import Output
from idmcli.cli.processes import connected_processes, mute_followers
from idmcli.errors import CheckFailed, ConfigError, IdmError, InputError
from idmcli.reporting import Count

if TYPE_CHECKING:
    from idmcli.config import Config
    from idmcli.distributed import Processes
    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.perceptual import Perceptual
    from idmcli.evaluation.score_log import ScoreLog
    from idmcli.io.items import Item
    from idmcli.library import Given

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
            help="Sampling ratios; cs takes 0.1,0.3,0.5 if nothing else is said.",
            rich_help_panel="Measurement",
        ),
    ] = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    method: Annotated[
        list[str] | None,
        typer.Option(
            "--method",
            metavar="NAME,...",
            help="Methods to compare, or all; the default of `idm reconstruct` if not given.",
            autocompletion=complete_method_lists,
            rich_help_panel="Reconstruction",
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
            help="Name of the data in the tables, by which published figures are found; the folder's if not given.",
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
            rich_help_panel="Report",
        ),
    ] = None,
    overwrite: OverwriteOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Sense and reconstruct each picture of a folder and score the results.

    Colour pictures are reduced to their luminance, as is usual in this field, unless --colour rgb or the
    configuration asks for colour. Scores are written to --out as they are computed.

    Example: idm eval Set11 --method vamp,tv --ratio 0.1,0.3 --out scores

    Example: idm eval Set11 --method all --limit 2 --report report.html
    """
    from idmcli.config import load_config

    output = output_of(context)
    mute_followers(output)
    flags = measuring_flags(noise=noise, colour=colour, seed=seed)
    source = preset, config, settings or (), os.environ
    loaded = load_config(*source, flags)
    if print_config:
        return show_config(output, loaded)

    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.score_log import ScoreLog
    from idmcli.evaluation.tables import summarise
    from idmcli.evaluation.views import SHOWN
    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import MAX_PIXELS, find_items
    from idmcli.library import Library, check_options

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
            library = Library(
                processes.device,
                precision=precision,
                ensemble=ensemble,
                tile=tile,
                compile=compile,
                tell=output.warning,
            )
            benchmark = Benchmark(name, configs, names, weights, library, prior, _perceptual(processes, output))
            _check_taken(library.given(weights, prior), benchmark.methods)  # what is wrong is said before any work
            outputs = ([out / file for file in FILES] if out else []) + ([report] if report else [])
            _check_outputs(outputs, pictures, overwrite=overwrite)
            for place in {file.parent for file in outputs} if processes.leads else ():
                ensure_writable(place)
            found = Found()
            if not benchmark.methods:
                benchmark, found.left_out = _all_methods(benchmark, pictures, max_pixels or MAX_PIXELS)
                for left, reason in found.left_out.items():
                    output.status(f"left out {left}: {reason}")
        log = None if out is None else ScoreLog(outputs[0], outputs[1:], begun=not processes.leads)
        if processes.size > 1:
            if log is not None and processes.leads:
                log.begin()
            processes.barrier()

        shown = pictures[:SHOWN] if report else []
        try:
            with processes.failing_together():
                _evaluate(pictures, shown, benchmark, log, max_pixels or MAX_PIXELS, processes, output, found)
        except BaseException:  # what was computed is reported, whatever ends the command
            if found.scores and processes.size == 1:
                found.write(benchmark, out, report, output)
            raise
        found, *others = processes.gather(found)
        for other in others:
            other.tell(output)
            found.add(other)
        if found.scores and processes.leads:
            found.write(benchmark, out, report, output)
        failed = some_failed([error for _, error in found.failures], len(pictures))
        if failed is not None:
            raise processes.reported_once(failed)
        low = [s for s in summarise(found.scores) if min_psnr is not None and not s.psnr >= min_psnr]
        if low:
            means = ", ".join(f"{s.method} at {s.column}: {s.psnr:.2f} dB" for s in low)
            raise processes.reported_once(CheckFailed(f"mean PSNR below {min_psnr:g} dB ({means})"))


def _evaluate(
    pictures: Sequence[Item],
    shown: Sequence[Item],
    benchmark: Benchmark,
    log: ScoreLog | None,
    max_pixels: int,
    processes: Processes,
    output: Output,
    found: Found,
) -> None:
    """Score this process's share of the pictures, every N-th of them, into ``found`` and the log, and keep views of
    those that are shown."""
    from idmcli.io.images import read_image

    def warn(message: str) -> None:
        found.warnings.append(message)
        output.warning(message)

    def work(item: Item, progress: Count) -> None:
        image = read_image(item, max_pixels=max_pixels)
        for outcome in benchmark.run(image, progress.note, lambda doubt: warn(f"{str(item)!r}: {doubt}")):
            found.take(outcome, show=item in shown)
            if log is not None:
                log.add(outcome.score)

    def failed(item: Item, error: IdmError) -> None:
        found.failures.append((str(item), error))
        if len(pictures) == 1:
            raise error from None
        output.failure({"input": str(item)}, error)

    try_each(pictures[processes.rank :: processes.size], work, output, "evaluating", failed)


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


def _check_taken(given: Given, methods: Sequence[str | None]) -> None:
    """Raise InputError if weights were named that none of the methods takes."""
    from idmcli import solvers

    wanted = [solvers.find(name).weights for name in methods if name is not None]
    for kind, path in given.items():
        if path is not None and wanted and kind not in wanted:
            takers = [name for name in solvers.names() if solvers.find(name).weights == kind]
            raise InputError(
                f"{str(path)!r} is {solvers.NEEDS[kind]}, which none of these methods takes",
                f"methods for it: {', '.join(takers)}",
            )


def _all_methods(
    benchmark: Benchmark, pictures: Sequence[Item], max_pixels: int
) -> tuple[Benchmark, Mapping[str, str]]:
    """The comparison of all methods that apply, by the first picture that can be measured; why the others do not."""
    from idmcli.experiment import operator_for
    from idmcli.io.images import read_image

    for item in pictures:
        try:
            image = read_image(item, max_pixels=max_pixels)
            operators = [operator_for(image, config) for config in benchmark.configs]
        except InputError:  # told when its turn comes
            continue
        ready, left_out = benchmark.applicable(operators)
        if not ready:
            reasons = "\n".join(f"{name}: {reason}" for name, reason in left_out.items())
            raise ConfigError(f"no method applies\n{reasons}", "`idm methods` says what each needs")
        return replace(benchmark, methods=ready), left_out
    return replace(benchmark, methods=[None]), {}


def _split(values: Sequence[str]) -> list[str]:
    """The items of options that may be repeated and hold several, separated by commas."""
    return [item.strip() for value in values for item in value.split(",")]
