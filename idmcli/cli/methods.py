"""``idm methods``: the ways to reconstruct."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Annotated

import typer

from idmcli import tasks
from idmcli.cli.options import complete_methods, output_flags, output_of
from idmcli.cli.tasks import complete_tasks

EXAMPLE = (1, 64, 64)  # the image whose measurement decides which methods apply to a task


@output_flags
def methods(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one.", autocompletion=complete_methods)
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(
            "--task",
            metavar="TASK",
            help="Only the methods that apply to a task with its defaults and the shipped weights, and why others do "
            "not.",
            autocompletion=complete_tasks,
        ),
    ] = None,
) -> None:
    """List the methods of `idm reconstruct`: what each needs, and its options with their defaults.

    Example: idm methods --task ct
    """
    from idmcli import solvers

    output = output_of(context)
    chosen = solvers.names() if name is None else [solvers.find(name).name]
    left_out = {} if task is None else _left_out(task)
    for solver in [solvers.find(each) for each in chosen if each not in left_out]:
        options = {field.name: field.default for field in fields(solver.options)}
        needs = solvers.needs_of(solver)
        record = {
            "name": solver.name,
            "summary": solver.summary,
            "needs": needs,
            "samples": solver.samples,
            "options": options,
        }
        lines = [solver.name, f"  {solver.summary}", f"  needs {', '.join(needs) or 'nothing'}"]
        lines += ["  samples: --samples N draws several"] if solver.samples else []
        lines += [f"  --set solver.{key}={value}" for key, value in options.items()]
        output.result(record, lines)
    if others := {each: reason for each, reason in left_out.items() if each in chosen}:
        output.summary({"left_out": others}, [f"not {each}: {reason}" for each, reason in others.items()])


def _left_out(kind: str) -> Mapping[str, str]:
    """Why methods do not apply to a task."""
    import torch

    from idmcli.config import load_config
    from idmcli.evaluation.benchmark import Benchmark
    from idmcli.methods import Methods

    config = load_config(flags={"--task": ("task.kind", kind)}).config
    operator = tasks.find(kind).operator(config.operator, EXAMPLE, "")
    _, left_out = Benchmark("", [config], [], None, Methods(torch.device("cpu"))).applicable([operator])
    return left_out
