"""``idm import``: from raw data of scanners and cameras to measurement files."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from idmcli.batch import find_inputs, for_each, output_paths, prepare_folders
from idmcli.cli.options import (
    DryRunOption,
    MaxPixelsOption,
    OverwriteOption,
    RecursiveOption,
    SkipExistingOption,
    output_flags,
    output_of,
    shape_of,
)
from idmcli.cli.results import plan
from idmcli.io.items import Item
from idmcli.reporting import Count
from idmcli.text import escape

PICTURES, NUMBERS, PIXEL = "Pictures that are measurements", "Measured numbers", "Single-pixel cameras"


@output_flags
def import_(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, FILE#N for one part of a file, folders or patterns.")
    ],
    mask: Annotated[
        str | None,
        typer.Option("--mask", metavar="FILE", help="The pixels that are known, white.", rich_help_panel=PICTURES),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option("--kernel", metavar="FILE", help="The picture of a blurred point.", rich_help_panel=PICTURES),
    ] = None,
    boundary: Annotated[
        str | None,
        typer.Option(
            "--boundary",
            metavar="reflect|circular",
            help="What a blur met beyond the edges.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    matrix: Annotated[
        str | None,
        typer.Option(
            "--matrix",
            metavar="FILE",
            help="The matrix that measured: .npy, .npz or .mat, dense or sparse, one column for each pixel.",
            rich_help_panel=NUMBERS,
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option(
            "--block", min=1, help="The matrix measures blocks of so many pixels a side.", rich_help_panel=NUMBERS
        ),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="H,W[,3]", help="The size of the image.", rich_help_panel=NUMBERS),
    ] = None,
    patterns: Annotated[
        str | None,
        typer.Option(
            "--patterns",
            metavar="hadamard:ORDER",
            help="The patterns of -1 and 1, in natural, sequency, dyadic, sequency-2d or dyadic-2d order.",
            rich_help_panel=PIXEL,
        ),
    ] = None,
    shown: Annotated[
        str | None,
        typer.Option(
            "--shown",
            metavar="FILE",
            help="The numbers of the patterns that were shown, from 0; the first ones if not given.",
            rich_help_panel=PIXEL,
        ),
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(
            "--split",
            metavar="HOW",
            help="How readings make coefficients. One of each pattern: signed, or binary for patterns of 0 and 1. "
            "Pairs of a pattern and its negative: interleaved or halves. Phase steps in columns: phases.",
            rich_help_panel=PIXEL,
        ),
    ] = None,
    noise: Annotated[
        float | None,
        typer.Option(
            "--noise",
            metavar="SIGMA",
            help="Standard deviation of the noise of every number, in the data's own unit; estimated if it can be.",
        ),
    ] = None,
    gain: Annotated[
        float | None,
        typer.Option(
            "--gain", metavar="WHITE", help="The value of white in the image, in the data's own unit; else estimated."
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option("--out", "-o", metavar="DIR", help="Folder for the measurement files.", rich_help_panel="Files"),
    ] = Path("measurements"),
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    recursive: RecursiveOption = False,
    dry_run: DryRunOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Turn raw data into measurement files, one for each part of a file, and say what was assumed.

    Example: idm import damaged.png --mask scratches.png

    Example: idm import y.npy --matrix phi.npz --shape 64,64

    Example: idm import y.csv --patterns hadamard:natural --split interleaved --shape 32,32
    """
    output = output_of(context)
    options = {
        "mask": mask,
        "kernel": kernel,
        "boundary": boundary,
        "matrix": matrix,
        "block": block,
        "shape": None if shape is None else shape_of(shape),
        "patterns": patterns,
        "shown": shown,
        "split": split,
        "noise": noise,
        "gain": gain,
    }
    given = {name: value for name, value in options.items() if value is not None}

    from idmcli.importing import import_item
    from idmcli.io.formats import MAX_PIXELS, all_formats
    from idmcli.measuring.file import SUFFIX
    from idmcli.measuring.format import MEASUREMENT

    suffixes = {suffix for format in all_formats() if format is not MEASUREMENT for suffix in format.suffixes}
    found, missing = find_inputs(inputs, output, suffixes=suffixes, recursive=recursive)
    sources = [part for item in found for part in parts_of(item)]
    files = output_paths(sources, out, [SUFFIX], overwrite=overwrite, skip_existing=skip_existing)
    prepare_folders(files, out, output, of=len(sources), dry_run=dry_run)

    def work(item: Item, count: Count) -> None:
        m, assumed = import_item(
            item, given, command=_command(item, options, shape), max_pixels=max_pixels or MAX_PIXELS
        )
        if dry_run:
            return plan(item, files[item].paths, m.operator, output)
        (path,), replace = files[item]
        m.save(path, replace=replace)
        record: dict[str, Any] = {"input": str(item), "output": path, "kind": m.operator.kind}
        record |= {"assumed": assumed, "noise": m.noise, "gain": m.gain, "ratio": m.amount.ratio}
        lines = [
            f"{item} -> {path}: {m.operator.kind}, {m.amount.text}",
            *(f"  assumed: {a}" for a in assumed),
        ]
        output.result(record, lines)

    error = for_each(list(files), work, output, "importing", missing)
    if error is not None:
        raise error


def parts_of(item: Item) -> list[Item]:
    """The items of a file; the item itself if it names one of them, or if the file cannot be read."""
    from idmcli.errors import InputError
    from idmcli.io.formats import format_of

    format = format_of(item.path)
    if item.number is not None or format is None:
        return [item]
    try:
        return [Item(part.path, part.number, item.below) for part in format.items(item.path)]
    except InputError:  # said when it is read
        return [item]


def _command(item: Item, options: dict[str, Any], shape: str | None) -> str:
    """A command line that gives the same measurement."""
    texts = {**options, "shape": shape}
    given = [f"--{name}={value}" for name, value in texts.items() if value is not None]
    return escape(shlex.join(["idm", "import", item.name, *given]))
