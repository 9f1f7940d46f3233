"""``idm convert``: from any weights that idm reads to a weights file of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from idmcli.batch import refuse_existing
from idmcli.cli.options import OverwriteOption, output_flags, output_of
from idmcli.errors import InputError


@output_flags
def convert(
    context: typer.Context,
    weights: Annotated[
        Path, typer.Argument(metavar="WEIGHTS", help="A released checkpoint, a weights file, a run folder.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", metavar="FILE", help="The new file; WEIGHTS with the ending .safetensors if not given."
        ),
    ] = None,
    half: Annotated[
        bool, typer.Option("--half", help="Store matrices and kernels as float16, in half the space.")
    ] = False,
    overwrite: OverwriteOption = False,
) -> None:
    """Turn a released checkpoint (.pkl), or the averaged weights of a run, into a file that describes itself.

    Only tensors are loaded from a .pkl. The new file gives the same reconstructions, unless --half rounds the weights.

    Example: idm convert net_params_50.pkl --out net_params_50.safetensors

    Example: idm convert runs/cs-tiny --out stopped.safetensors
    """
    out = out or _beside(weights)
    output = output_of(context)
    if out.suffix != ".safetensors":
        raise InputError(f"--out {str(out)!r} does not end in .safetensors", "give it that ending")
    if os.path.realpath(out) == os.path.realpath(weights):
        raise InputError(f"{str(weights)!r}: the output is the input", "choose another --out")
    refuse_existing([out], overwrite=overwrite)

    from idmcli.io.atomic import ensure_writable
    from idmcli.models.checkpoints import load_weights, save_weights

    ensure_writable(out.parent)
    model = load_weights(weights)
    record = model.training_record
    save_weights(out, model, training=record, trained_for=model.trained_for, half=half, replace=overwrite)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    result = {"input": weights, "output": out, "kind": model.kind, "parameters": parameters}
    output.result(result, f"{weights} -> {out}: kind {model.kind}, {parameters / 1e6:.2f} M parameters")


def _beside(weights: Path) -> Path:
    """The file beside weights that has their name and the ending .safetensors."""
    if not weights.is_dir():
        return weights.with_suffix(".safetensors")
    named = weights if weights.name else weights.resolve()
    return named.with_name(f"{named.name}.safetensors")
