"""``idm methods``: the ways to reconstruct."""

from __future__ import annotations

from dataclasses import fields
from typing import Annotated

import typer

from idmcli.cli.options import complete_methods, output_flags, output_of


@output_flags
def methods(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Only this one.", autocompletion=complete_methods)
    ] = None,
) -> None:
    """List the methods of `idm reconstruct`: what each needs, and its options with their defaults."""
    from idmcli import solvers

    output = output_of(context)
    for solver in map(solvers.find, solvers.names() if name is None else [name]):
        options = {field.name: field.default for field in fields(solver.options)}
        needs = [text for need, text in solvers.NEEDS.items() if need in solver.needs]
        record = {
            "name": solver.name,
            "summary": solver.summary,
            "needs": needs,
            "samples": solver.samples,
            "options": options,
        }
        lines = [solver.name, f"  {solver.summary}", f"  needs {', '.join(needs)}"]
        lines += ["  samples: --samples N draws several"] if solver.samples else []
        lines += [f"  --set solver.{key}={value}" for key, value in options.items()]
        output.result(record, "\n".join(lines))
