"""The command tree. Modules listed here import PyTorch inside functions only."""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any

import typer

from idmcli import __version__
from idmcli.cli.benchmark_memory import benchmark_memory
from idmcli.cli.convert import convert
from idmcli.cli.env import env
from idmcli.cli.eval import evaluate
from idmcli.cli.import_ import import_
from idmcli.cli.info import info
from idmcli.cli.methods import methods
from idmcli.cli.presets import presets
from idmcli.cli.reconstruct import reconstruct
from idmcli.cli.sense import sense
from idmcli.cli.study import study
from idmcli.cli.tasks import tasks
from idmcli.cli.train import train

app = typer.Typer(
    epilog="Every command takes --json, --quiet, --no-color and --debug. Exit codes: 0 ok, 1 a requested check "
    "failed, 2 wrong usage, configuration or input, 3 numerical failure, 4 out of resources, 70 internal error.",
    context_settings={"help_option_names": ["--help", "-h"]},
    rich_markup_mode="markdown",  # paragraphs flow to the width of the terminal
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"idm {__version__}")
        raise typer.Exit()


@app.callback()
def idm(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reconstruct images from measurements y = A x + n, simulated or from scanners and cameras.

    A photograph: idm reconstruct photo.png --ratio 0.3 --compare

    Data of a scanner or a camera: idm import FILE, then idm reconstruct measurements/NAME.safetensors

    A matrix of your own: idm reconstruct y.npy --matrix phi.npz --shape 64,64

    A comparison of methods: idm eval FOLDER --method all --report report.html

    A network of your own: idm train --preset prior-grey --data FOLDER
    """


app.command()(sense)
app.command("import")(import_)
app.command()(reconstruct)
app.command()(train)
app.command("eval")(evaluate)
app.command()(study)
app.command()(info)
app.command()(convert)
app.command("benchmark-memory")(benchmark_memory)
app.command("bench-memory", hidden=True)(benchmark_memory)
app.command()(tasks)
app.command()(methods)
app.add_typer(presets, name="presets")
app.command()(env)


@cache
def command_tree() -> Any:
    """:data:`app` as a command that runs. Typer takes 30 ms to make it, and once is enough."""
    return typer.main.get_command(app)
