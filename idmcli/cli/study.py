"""``idm study``: variants of a configuration, trained and evaluated alike."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli.cli.options import DeviceOption, output_flags, output_of
from idmcli.cli.output import Output
from idmcli.devices import choose_device
from idmcli.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from idmcli.studies.planner import Case

CHILD = (sys.executable, "-m", "idmcli.cli.child")


def _study_names() -> list[str]:
    from idmcli.studies import list_studies

    return list(list_studies())


@output_flags
def study(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="[FILE]",
            help="A study file, or the name of a study that comes with idm; a list of these if not given.",
            autocompletion=_study_names,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="DIR", help="Folder of the study; studies/NAME if not given.")
    ] = None,
    data: Annotated[
        list[str] | None,
        typer.Option("--data", metavar="DIR", help="Pictures to train on; may be repeated."),
    ] = None,
    test: Annotated[
        list[Path] | None,
        typer.Option("--test", metavar="DIR", help="Folder of pictures to evaluate on; may be repeated."),
    ] = None,
    paper: Annotated[bool, typer.Option("--paper", help="Use the paper's scale, for GPUs.")] = False,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, max=256, help="Cases that run at once.")] = 1,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would run, with estimates of time and memory.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Print the study file, ready to be copied and changed.")] = False,
    device: DeviceOption = "auto",
) -> None:
    """Train and evaluate the variants of a study, and compare them.

    A stopped study continues when the same command is started again. A variant that fails does not stop the others.

    Example: idm study table6 -o table6 --data BSDS400 --test Set11
    """
    from idmcli.studies import list_studies, read_study
    from idmcli.studies.planner import Places, plan
    from idmcli.studies.records import refuse_other_study
    from idmcli.studies.study import purpose

    output = output_of(context)
    if source is None:
        return output.table([{"name": name, "purpose": purpose(text)} for name, text in list_studies().items()])
    found, text = read_study(source)
    if show:
        return output.result({"name": source, "toml": text}, text.rstrip("\n").split("\n"))
    if paper and found.paper is None:
        raise InputError(f"study {source!r} has one scale only", "leave out --paper")
    scale = found.paper if paper and found.paper else found.small
    folder = out or Path("studies") / Path(source).stem
    cases = plan(found, scale, Places(folder, data or (), test or (), device))
    if dry_run:
        return _estimate(cases, device, paper, output)
    refuse_other_study(cases)
    _run(cases, folder, Path(source).stem, jobs, output)


def _run(cases: Sequence[Case], folder: Path, title: str, jobs: int, output: Output) -> None:
    """Run what is not done yet, and write and print all results; those so far if the study is stopped."""
    from idmcli.io.atomic import ensure_writable
    from idmcli.studies.runner import Runner

    ensure_writable(folder)
    try:
        Runner(CHILD, output).run(cases, jobs)
    finally:
        failed = _report(cases, folder, title, output)
    if failed:
        raise CheckFailed(
            f"{failed} of {len(cases)} cases failed", "the reasons are in the table; start again to retry"
        )


def _report(cases: Sequence[Case], folder: Path, title: str, output: Output) -> int:
    """Write and print the results so far; returns how many cases failed."""
    from idmcli.io.atomic import write_text
    from idmcli.studies.page import write_pages
    from idmcli.studies.plots import plot_results
    from idmcli.studies.results import rows_of, to_csv
    from idmcli.studies.summary import table

    rows = rows_of(cases)
    command = shlex.join(["idm", *output.arguments])
    records = [asdict(row) for row in rows]
    write_text(folder / "results.csv", to_csv(rows))
    write_text(folder / "results.json", json.dumps({"command": command, "results": records}, indent=1) + "\n")
    pages = write_pages(folder, title, cases, rows, command)
    plots = plot_results(folder, title, rows)
    if output.json:
        for record in records:
            output.result(record)
    else:
        output.table(table(rows), title)
    files = [folder / "results.csv", folder / "results.json", *pages, *plots]
    output.status(f"wrote {', '.join(map(str, files))}")
    return len({(row.variant, row.seed) for row in rows if row.failed})


def _estimate(cases: Sequence[Case], device: str, paper: bool, output: Output) -> None:
    """List the commands of all cases, and what their trainings would take."""
    from idmcli.durations import format_duration
    from idmcli.memory.estimate import Estimate, estimate
    from idmcli.sizes import format_size

    where = choose_device(device)
    timed = None if paper and where.type == "cpu" else where  # a step of the full-size network takes minutes there
    total, records = 0.0, []
    with output.progress(len(cases), "estimates") as progress:
        for case in cases:
            trains = any(job.action == "train" for job in case.jobs)
            expected = estimate(case.config, timed) if trains else Estimate()
            total += expected.seconds or 0.0
            records.append(
                {
                    "variant": case.variant.name,
                    "seed": case.seed,
                    "jobs": ", ".join(job.name for job in case.jobs),
                    "training": None if expected.seconds is None else format_duration(expected.seconds),
                    "step memory": None if expected.memory is None else format_size(expected.memory),
                }
            )
            progress.advance()
    output.table(records, f"{len(cases)} cases on {where}")
    commands = [shlex.join(["idm", *job.command]) for case in cases for job in case.jobs]
    text = ["", *commands]
    if timed:
        text += ["", f"Trainings: about {format_duration(total)} one after the other, with no other work."]
    output.summary({"commands": commands, "seconds": total if timed else None}, text)
