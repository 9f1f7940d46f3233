"""``idm benchmark-memory``: what training costs in each memory plan, before anything is trained."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from idmcli.batch import refuse_existing
from idmcli.cli.options import (
    ConfigOption,
    DeviceOption,
    OverwriteOption,
    PresetOption,
    PrintConfigOption,
    SetOption,
    output_flags,
    output_of,
    size_of,
)
from idmcli.cli.output import Output
from idmcli.cli.shown import TRAINING, show_config
from idmcli.devices import choose_device
from idmcli.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from torch import device as Device

    from idmcli.config import Config
    from idmcli.memory.report import Row

# For the network that the paper trains, if no configuration is named.
REFERENCE = {"model.size": "full", "training.batch": 4, "training.patch": 128, "training.precision": "float32"}


@output_flags
def benchmark_memory(
    context: typer.Context,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    steps: Annotated[int | None, typer.Option("--T", min=1, metavar="STEPS", help="Sampling steps.")] = None,
    network: Annotated[Literal["tiny", "full"] | None, typer.Option("--size", help="Size of the network.")] = None,
    batch: Annotated[int | None, typer.Option("--batch", min=1, metavar="CROPS", help="Crops per iteration.")] = None,
    patch: Annotated[int | None, typer.Option("--patch", min=8, metavar="PIXELS", help="Side of a crop.")] = None,
    dtype: Annotated[Literal["float32", "bf16"] | None, typer.Option("--dtype", help="Number format.")] = None,
    optimizer: Annotated[
        Literal["adam", "adamw", "muon"] | None, typer.Option("--optimizer", help="Optimiser, whose state counts.")
    ] = None,
    sweep: Annotated[
        str | None, typer.Option("--sweep", metavar="T=1..12", help="Peak for several T: a range, or a list T=1,3,12.")
    ] = None,
    fit: Annotated[
        str | None, typer.Option("--fit", metavar="SIZE", help="Largest batch of each plan within 11GiB, for example.")
    ] = None,
    budget: Annotated[
        str | None, typer.Option("--budget", metavar="SIZE", help="Add the fastest plan within this memory, `auto`.")
    ] = None,
    max_ratio: Annotated[
        float | None,
        typer.Option(
            "--max-ratio",
            min=0,
            metavar="R",
            help="Exit with 1 if the leanest plan's activations and temporaries exceed R times the ones of plain.",
        ),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE", help="Draw the sweep: .png, .svg or .pdf.")
    ] = None,
    overwrite: OverwriteOption = False,
    device: DeviceOption = "auto",
) -> None:
    """Show the memory of one training step for each memory plan, computed without weights or a GPU.

    On a GPU the plans are measured as well. Without --preset or --config: the full-size network of preset cs,
    batch 4, 128 x 128 pixels, float32.

    `idm bench-memory` is the same.

    Example: idm benchmark-memory --T 12
    """
    from idmcli.config import load_config

    output = output_of(context)
    if sum(option is not None for option in (sweep, fit, budget)) > 1:
        raise InputError("--sweep, --fit and --budget are three different tables", "ask for one of them")
    if sweep is not None and steps is not None:
        raise InputError("--T and --sweep both set the number of steps", "leave out one of them")
    if plot is not None and sweep is None:
        raise InputError("--plot draws a sweep, and none is asked for", "add --sweep T=1..12, for example")
    if max_ratio is not None and fit is not None:
        raise InputError("--max-ratio compares plans with one batch, and --fit varies the batch", "leave out one")
    values, limit = parse_sweep(sweep), size_of("--fit", fit) or size_of("--budget", budget)

    given: dict[str, tuple[str, Any]] = {
        "--size": ("model.size", network),
        "--T": ("model.steps", steps),
        "--batch": ("training.batch", batch),
        "--patch": ("training.patch", patch),
        "--dtype": ("training.precision", dtype),
        "--optimizer": ("training.optimizer", optimizer),
    }
    if preset is None and config is None:
        preset = "cs"
        given = {flag: (key, REFERENCE.get(key) if value is None else value) for flag, (key, value) in given.items()}
    loaded = load_config(preset, config, settings or (), os.environ, given)
    if print_config:
        return show_config(output, loaded, TRAINING)
    from idmcli.learned.sampling import SamplingSettings
    from idmcli.memory.plot import check_plot, plot_memory
    from idmcli.memory.step import check_computed
    from idmcli.memory.tables import title
    from idmcli.runs.precision import settle

    check_computed(loaded.config)
    of_variants = isinstance(loaded.config.model, SamplingSettings)
    if of_variants and any(option is not None for option in (sweep, budget, max_ratio)):
        raise InputError(
            "this network has no sampling steps and no plans, but four variants",
            "leave out --sweep, --budget and --max-ratio",
        )
    if plot is not None:
        check_plot(plot)
        refuse_existing([plot], overwrite=overwrite)
    where = choose_device(device)
    settled = settle(loaded.config, where)
    about = title(preset or str(config), settled, varying="T" if values else "batch" if fit else "")
    output.inputs(title=about, config=asdict(settled), device=str(where))
    if of_variants:
        return _variants(settled, limit, about, output)
    if fit is not None:
        return _fit(settled, limit or 0, about, output)
    if values:
        table = _sweep(settled, values, about, output)
        if plot is not None:
            peaks = {
                row.name: [rows[n].memory.peak for rows in table.values()] for n, row in enumerate(table[values[0]])
            }
            plot_memory(plot, about, values, peaks, replace=overwrite)
            output.status(f"wrote {plot}")
        rows = table[values[-1]]
    else:
        rows = _plans(settled, limit, where, about, output)
    if max_ratio is not None:
        _check(rows, max_ratio)


def parse_sweep(text: str | None) -> list[int]:
    """The values in "T=1..12" or "T=1,3,12", ascending; none for None.

    Raises:
        InputError: it is neither, or a value is not from 1 to 1000, or the range is empty.
    """
    if text is None:
        return []
    form = re.fullmatch(r"T=(?:(\d{1,4})\.\.(\d{1,4})|(\d{1,4}(?:,\d{1,4})*))", text.replace(" ", ""))
    if form is None:
        raise InputError(f"--sweep {text!r} is not a range of T", "write T=1..12 or T=1,3,12")
    values = sorted({int(item) for item in form[3].split(",")} if form[3] else range(int(form[1]), int(form[2]) + 1))
    if not values or not 1 <= values[0] <= values[-1] <= 1000:
        raise InputError(f"--sweep {text!r} has no T, or one that is not from 1 to 1000", "write T=1..12 or T=1,3,12")
    return values


def _plans(config: Config, budget: int | None, device: Device, about: str, output: Output) -> list[Row]:
    """One row for each plan; measured too if there is a GPU."""
    from idmcli.memory.report import measured, rows
    from idmcli.memory.tables import COMPUTED, MEASURED, PAPER_SAVING, row_table
    from idmcli.reversible.plan import NAMED
    from idmcli.reversible.planner import describe

    gpu = device.type == "cuda"
    with output.progress(len(NAMED), "computing plans") as progress:
        found = rows(config, budget, progress.advance)
    if gpu:
        with output.progress(len(found), "measuring plans") as progress:
            found = measured(found, config, device, progress.advance)
    records = [row.record(found[0]) for row in found]
    unit, lines = row_table(found, config)
    _show(output, records, lines, f"{about}; in {unit}, {'computed, * measured' if gpu else 'computed'}")
    auto = [f"auto: {describe(row.plan)}." for row in found if row.name == "auto"]
    configured = next((record for record in records if record["plan"] == config.training.memory), None)
    notes = [*auto, *([MEASURED] if gpu else []), COMPUTED, PAPER_SAVING]
    output.summary({"configured": configured}, notes)
    return found


def _sweep(config: Config, values: Sequence[int], about: str, output: Output) -> dict[int, list[Row]]:
    """The peak of each plan at each T, computed."""
    from idmcli.memory.report import slopes, sweep
    from idmcli.memory.tables import COMPUTED, sweep_table
    from idmcli.reversible.plan import NAMED

    with output.progress(len(NAMED) * len(values), "computing plans") as progress:
        table = sweep(config, values, progress.advance)
    records = [{"T": steps, **row.record(rows[0])} for steps, rows in table.items() for row in rows]
    unit, lines = sweep_table(table)
    _show(output, records, lines, f"{about}; peak in {unit}, computed")
    output.summary({"bytes_per_step": slopes(table) if len(values) > 1 else None}, COMPUTED)
    return table


def _fit(config: Config, budget: int, about: str, output: Output) -> None:
    """The largest batch of each plan, computed."""
    from idmcli.memory.report import LARGEST_BATCH, fit
    from idmcli.memory.tables import COMPUTED, fit_table
    from idmcli.reversible.plan import NAMED
    from idmcli.sizes import format_size

    with output.progress(len(NAMED), "computing plans") as progress:
        fits = fit(config, budget, progress.advance)
    unit, lines = fit_table(fits)
    _show(output, [asdict(fit) for fit in fits], lines, f"{about}; within {format_size(budget)}, in {unit}, computed")
    if any(fit.batch == LARGEST_BATCH for fit in fits):
        output.hint(f"batches above {LARGEST_BATCH} were not tried")
    configured = next((asdict(fit) for fit in fits if fit.name == config.training.memory), None)
    output.summary({"budget": budget, "configured": configured}, COMPUTED)


def _variants(config: Config, budget: int | None, about: str, output: Output) -> None:
    """The four variants of a network that learns its own sampling, beside the paper's; or the largest batch of each."""
    from idmcli.evaluation.published import published_variant
    from idmcli.memory.tables import COMPUTED, PAPER_BATCH, fit_table, variant_table
    from idmcli.memory.variants import VARIANTS, Variant, fits, variants
    from idmcli.sizes import format_size

    m = config.model
    own = VARIANTS[m.reversible, m.injectors]
    if budget is not None:
        with output.progress(len(VARIANTS), "computing variants") as progress:
            each = fits(config, budget, progress.advance)
        unit, lines = fit_table(each)
        title = f"{about}; within {format_size(budget)}, in {unit}, computed"
        _show(output, [asdict(fit) for fit in each], lines, title)
        configured = next(asdict(fit) for fit in each if fit.name == own)
        return output.summary({"budget": budget, "configured": configured}, COMPUTED)

    def paper(variant: Variant) -> float | None:
        return gigabytes(variant.reversible, variant.injectors)

    def gigabytes(reversible: bool, injectors: bool) -> float | None:
        figures = published_variant(m.kind, reversible, injectors)
        return float(figures["memory_gb"]) if figures else None

    def size(reversible: bool, injectors: bool) -> int | None:
        found = gigabytes(reversible, injectors)
        return None if found is None else round(found * 10**9)

    with output.progress(len(VARIANTS), "computing variants") as progress:
        found = variants(config, size, progress.advance)
    records = [variant.record() | {"paper_gb": paper(variant)} for variant in found]
    _show(output, records, variant_table(found, paper), f"{about}; in MiB, computed")
    configured = next(record for record in records if record["variant"] == own)
    output.summary({"configured": configured}, [COMPUTED, PAPER_BATCH])


def _show(output: Output, records: Sequence[dict[str, Any]], lines: Sequence[dict[str, Any]], title: str) -> None:
    """Bytes in JSON, ``lines`` for people."""
    if output.json:
        for record in records:
            output.result(record)
    else:
        output.table(lines, title)


def _check(rows: Sequence[Row], max_ratio: float) -> None:
    from idmcli.sizes import format_size

    plain, leanest = rows[0], min(rows, key=lambda row: row.memory.step)
    ratio = leanest.memory.step / plain.memory.step
    if ratio > max_ratio:
        sizes = f"{format_size(leanest.memory.step)} against {format_size(plain.memory.step)}"
        raise CheckFailed(
            f"activations and temporaries of plan {leanest.name} are {ratio:.3g} of plain's ({sizes}), "
            f"more than --max-ratio {max_ratio:g}"
        )
