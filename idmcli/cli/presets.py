"""``idm presets``: the configurations that come with idm."""

from __future__ import annotations

from typing import Annotated

import typer

from idmcli.cli.options import output_flags, output_of

presets = typer.Typer(invoke_without_command=True)


@presets.callback()
@output_flags
def list_all(context: typer.Context) -> None:
    """List the configurations that come with idm, or print one of them."""
    if context.invoked_subcommand is None:
        from idmcli.config import list_presets

        records = [{"name": item.name, "task": item.task, "purpose": item.purpose} for item in list_presets()]
        output = output_of(context)
        output.table(records)
        output.hint("`idm presets show NAME` prints one, and `idm tasks` says what is measured")


@presets.command()
@output_flags
def show(context: typer.Context, name: Annotated[str, typer.Argument(help="Name of a preset.")]) -> None:
    """Print a preset as TOML, ready to be copied and changed."""
    from idmcli.config import read_preset

    output = output_of(context)
    preset = read_preset(name)
    output.result({"name": preset.name, "task": preset.task, "toml": preset.text}, preset.text.rstrip("\n").split("\n"))
