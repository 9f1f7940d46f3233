"""``idm eval``: PSNR and SSIM of methods over a folder of pictures, beside the published figures."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli import __version__, tasks
from idmcli.cli.batch import refuse_existing, some_failed, try_each
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
from idmcli.cli.processes import mute_followers, processes
from idmcli.errors import CheckFailed, IdmError, InputError
from idmcli.output import Output, Progress, jsonable

if TYPE_CHECKING:
    from idmcli.config import Config
    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.score_log import ScoreLog
    from idmcli.evaluation.tables import Score
    from idmcli.io.items import Item
    from idmcli.solvers import Kind
    from idmcli.training.world import World

FILES = ("scores.csv", "scores.json")


@dataclass
class Found:
    """What one process found: of each failure the input and the reason."""

    scores: list[Score] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    failures: list[tuple[str, IdmError]] = field(default_factory=list)

    def tell(self, output: Output) -> None:
        """Report what went wrong."""
        for message in self.warnings:
            output.warning(message)
        for item, error in self.failures:
            output.failure({"input": item}, error)


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
            help="Methods to compare; the default of `idm reconstruct` if not given.",
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
    overwrite: OverwriteOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Sense and reconstruct each picture of a folder and score the results.

    Colour pictures are reduced to their luminance, as is usual in this field, unless --colour rgb or the
    configuration asks for colour. Scores are written to --out as they are computed.

    Example: idm eval Set11 --method vamp,tv --ratio 0.1,0.3 --out scores
    """
    from idmcli.config import load_config

    output = output_of(context)
    mute_followers(output)
    output.inputs(
        data=folder or data, preset=preset, config=config, ratio=ratio, method=method, weights=weights, out=out
    )
    output.inputs(prior=prior)
    flags = measuring_flags(noise=noise, colour=colour, seed=seed)
    source = preset, config, settings or (), os.environ
    loaded = load_config(*source, flags)
    if print_config:
        return show_config(output, loaded)

    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.evaluation.score_log import ScoreLog
    from idmcli.evaluation.tables import summarise
    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import MAX_PIXELS, find_items
    from idmcli.library import Library

    with processes(output, device, threads) as world:
        with world.agreed():
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
                world.device,
                precision=precision,
                ensemble=ensemble,
                tile=tile,
                compile=compile,
                tell=output.warning,
            )
            benchmark = Benchmark(name, configs, _methods(method, weights, prior), weights, library, prior)
            _check_taken(library.given(weights, prior), benchmark.methods)  # what is wrong is said before any work
            if out is not None:
                refuse_existing([out / file for file in FILES], overwrite=overwrite)
                if world.writes:
                    ensure_writable(out)
        log = None if out is None else ScoreLog(out / FILES[0], begun=not world.writes)
        if world.size > 1:
            if log is not None and world.writes:
                log.begin()
            world.wait()

        found = Found()
        try:
            with world.agreed():
                _evaluate(pictures, benchmark, log, max_pixels or MAX_PIXELS, world, output, found)
        except BaseException:  # what was computed is reported, whatever ends the command
            if found.scores and world.size == 1:
                _report(found.scores, benchmark, out, output)
            raise
        parts = world.gathered(found)
        for part in parts[1:]:
            part.tell(output)
        scores = [score for part in parts for score in part.scores]
        if scores and world.writes:
            _report(scores, benchmark, out, output)
        failed = some_failed([error for part in parts for _, error in part.failures], len(pictures))
        if failed is not None:
            raise world.common(failed)
        low = [s for s in summarise(scores) if min_psnr is not None and not s.psnr >= min_psnr]
        if low:
            means = ", ".join(f"{s.method} at {s.column}: {s.psnr:.2f} dB" for s in low)
            raise world.common(CheckFailed(f"mean PSNR below {min_psnr:g} dB ({means})"))


def _evaluate(
    pictures: Sequence[Item],
    benchmark: Benchmark,
    log: ScoreLog | None,
    max_pixels: int,
    world: World,
    output: Output,
    found: Found,
) -> None:
    """Score this process's share of the pictures, every N-th of them, into ``found`` and the log."""
    from idmcli.io.images import read_image

    def warn(message: str) -> None:
        found.warnings.append(message)
        output.warning(message)

    def work(item: Item, progress: Progress) -> None:
        image = read_image(item, max_pixels=max_pixels)
        for score in benchmark.scores(image, progress.note, lambda doubt: warn(f"{str(item)!r}: {doubt}")):
            found.scores.append(score)
            if log is not None:
                log.add(score)

    def failed(item: Item, error: IdmError) -> None:
        if len(pictures) == 1:
            raise error from None
        found.failures.append((str(item), error))
        output.failure({"input": str(item)}, error)

    try_each(pictures[world.rank :: world.size], work, output, "evaluating", failed)


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
    from idmcli import solvers

    methods = [solvers.find(name) for name in dict.fromkeys(_split(names or ()))]
    if weights is not None and methods and all(solver.weights is None for solver in methods):
        raise InputError("none of these methods takes weights", "leave out --weights or choose another --method")
    if prior is not None and methods and all(solver.weights not in ("prior", "latent") for solver in methods):
        raise InputError("none of these methods takes a prior", "leave out --prior or choose another --method")
    return [solver.name for solver in methods] or [None]


def _check_taken(given: Mapping[Kind, Path | None], methods: Sequence[str | None]) -> None:
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


def _split(values: Sequence[str]) -> list[str]:
    """The items of options that may be repeated and hold several, separated by commas."""
    return [item.strip() for value in values for item in value.split(",")]


def _report(scores: Sequence[Score], benchmark: Benchmark, out: Path | None, output: Output) -> None:
    """Print the scores, and write them to ``out``."""
    from idmcli.evaluation.tables import to_csv, to_json
    from idmcli.io.atomic import write_text

    config = benchmark.configs[0]
    document = {
        **to_json(scores, benchmark.published_colour()),
        "measured": "luminance" if config.task.channels == 1 else "rgb",
        "configuration": {
            "task": asdict(config.task),
            "operator": {key: value for key, value in asdict(config.operator).items() if key != "ratio"},
            "solver": asdict(config.solver),
        },
        "device": str(benchmark.library.device),
        "version": __version__,
    }
    if output.json:
        for record in document["results"]:
            output.result(record)
    rest = {key: value for key, value in document.items() if key != "results"}
    output.summary(
        rest, f"{_table(scores, benchmark)}\n\nMeasured on {document['measured']}. {document['conventions']}"
    )
    if out is not None:
        table, record = (out / file for file in FILES)
        write_text(table, to_csv(scores))
        write_text(record, json.dumps(jsonable(document), indent=2, allow_nan=False) + "\n")
        output.status(f"wrote {table} and {record}")


def _table(scores: Sequence[Score], benchmark: Benchmark) -> str:
    """The table in Markdown, with its caption below."""
    from rich import box
    from rich.console import Console

    from idmcli.evaluation.tables import to_table

    table = to_table(scores, benchmark.published_colour())
    table.box, caption, table.caption = box.MARKDOWN, table.caption, None
    text = StringIO()
    Console(file=text, width=1000, color_system=None).print(table)
    lines = [line.strip() for line in text.getvalue().splitlines() if line.strip()]
    return "\n".join([*lines, "", f"{caption}."])
