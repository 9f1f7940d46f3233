"""``idm convert``: from any weights that idm reads to a weights file of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from idmcli.cli.batch import refuse_existing
from idmcli.cli.options import OverwriteOption, output_flags, output_of
from idmcli.errors import InputError


@output_flags
def convert(
    context: typer.Context,
    weights: Annotated[Path, typer.Argument(metavar="WEIGHTS", help="A released checkpoint, or a weights file.")],
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
    """Turn a released checkpoint (.pkl) into a safetensors file that describes itself.

    Of a .pkl nothing but tensors is loaded. Unless --half rounds them, the new file reconstructs the same.

    Example: idm convert net_params_50.pkl --out net_params_50.safetensors
    """
    out = out or weights.with_suffix(".safetensors")
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
    save_weights(out, model, training=model.training_record, trained_for=model.trained_for, half=half)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    record = {"input": weights, "output": out, "kind": model.kind, "parameters": parameters}
    output.result(record, f"{weights} -> {out}: kind {model.kind}, {parameters / 1e6:.2f} M parameters")
