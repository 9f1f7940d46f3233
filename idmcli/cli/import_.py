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

PICTURES, NUMBERS, MRI, CT = "Pictures that are measurements", "Measured numbers", "MRI", "CT"
PIXEL = "Single-pixel cameras"


@output_flags
def import_(
    context: typer.Context,
    inputs: Annotated[
        list[str], typer.Argument(metavar="INPUT...", help="Files, FILE#N for one part of a file, folders or patterns.")
    ],
    mask: Annotated[
        str | None,
        typer.Option(
            "--mask",
            metavar="FILE|DIR",
            help="The pixels that are known, white; or a folder of masks with the names of the pictures.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    kernel: Annotated[
        str | None,
        typer.Option("--kernel", metavar="FILE", help="The picture of a blurred point.", rich_help_panel=PICTURES),
    ] = None,
    scale: Annotated[
        str | None,
        typer.Option(
            "--scale",
            metavar="LOW,HIGH[,UNIT]",
            help="The values of black and white, as in `idm reconstruct`.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    boundary: Annotated[
        str | None,
        typer.Option(
            "--boundary",
            metavar="reflect|circular",
            help="The scene beyond the edges of a blurred picture: a mirror image, or the other side.",
            rich_help_panel=PICTURES,
        ),
    ] = None,
    matrix: Annotated[
        str | None,
        typer.Option(
            "--matrix",
            metavar="FILE",
            help="The matrix of the measurement: .npy, .npz or .mat, dense or sparse, one column for each pixel.",
            rich_help_panel=NUMBERS,
        ),
    ] = None,
    block: Annotated[
        int | None,
        typer.Option("--block", min=1, help="The matrix measures blocks of N x N pixels.", rich_help_panel=NUMBERS),
    ] = None,
    shape: Annotated[
        str | None,
        typer.Option("--shape", metavar="H,W[,3]", help="The size of the image.", rich_help_panel=NUMBERS),
    ] = None,
    maps: Annotated[
        str | None,
        typer.Option(
            "--maps",
            metavar="espirit|lowres|FILE",
            help="Coil maps: by ESPIRiT, the default; from images of low resolution; or a .cfl or .npy file.",
            rich_help_panel=MRI,
        ),
    ] = None,
    noise_scan: Annotated[
        str | None,
        typer.Option(
            "--noise-scan",
            metavar="FILE",
            help="A noise scan of the same coils. Not given: the noise scan in the file, if there is one.",
            rich_help_panel=MRI,
        ),
    ] = None,
    coils: Annotated[
        int | None,
        typer.Option(
            "--coils",
            min=1,
            help="Combine the coils to N virtual ones. Not given: to as many as hold 99.9 % of the energy.",
            rich_help_panel=MRI,
        ),
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
            help="How readings give coefficients. One reading for each pattern: signed, or binary for patterns of 0 "
            "and 1. Pairs of a pattern and its negative: interleaved or halves. Phase steps in columns: phases.",
            rich_help_panel=PIXEL,
        ),
    ] = None,
    row: Annotated[
        int | None,
        typer.Option("--row", min=0, metavar="N", help="The row of the detector, from 0.", rich_help_panel=CT),
    ] = None,
    angles: Annotated[
        str | None,
        typer.Option(
            "--angles",
            metavar="START:STOP|FILE",
            help="The angles of the views: evenly spaced ones without the last, a list, or a file of numbers.",
            rich_help_panel=CT,
        ),
    ] = None,
    angle_unit: Annotated[
        str | None,
        typer.Option("--angle-unit", metavar="degrees|radians", help="The unit of the angles.", rich_help_panel=CT),
    ] = None,
    axis: Annotated[
        str | None,
        typer.Option(
            "--axis",
            metavar="CELLS|auto|middle",
            help="Where the detector sees the axis of rotation, in cells from the first; auto finds it where opposite "
            "views agree.",
            rich_help_panel=CT,
        ),
    ] = None,
    fan: Annotated[
        str | None,
        typer.Option(
            "--fan",
            metavar="SOD,SDD,PITCH[,OFFSET]",
            help="The fan beam: distance from the source to the axis and to the detector, distance of two detector "
            "cells, and shift of the detector's middle, all in one unit. Not given: parallel beams.",
            rich_help_panel=CT,
        ),
    ] = None,
    views: Annotated[
        str | None,
        typer.Option(
            "--views", metavar="rows|columns", help="The views of a plain array: rows or columns.", rich_help_panel=CT
        ),
    ] = None,
    white: Annotated[
        str | None,
        typer.Option(
            "--white",
            metavar="FILE|VALUE|none",
            help="The intensity without an object, for -log; none if the values are line integrals. For a picture "
            "with --mask or --kernel: the sample that is white.",
            rich_help_panel=CT,
        ),
    ] = None,
    dark: Annotated[
        str | None,
        typer.Option("--dark", metavar="FILE|VALUE", help="The reading without a beam.", rich_help_panel=CT),
    ] = None,
    pixel: Annotated[
        float | None,
        typer.Option(
            "--pixel",
            metavar="CELLS",
            help="Side of a pixel, in detector cells projected to the axis. Not given: the image is as wide as the "
            "detector.",
            rich_help_panel=CT,
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

    Example: idm import damaged.png --mask known.png

    Example: idm import y.npy --matrix phi.npz --shape 64,64

    Example: idm import kspace.cfl --maps espirit --noise-scan noise.cfl

    Example: idm import y.csv --patterns hadamard:natural --split interleaved --shape 32,32

    Example: idm import tooth.h5 --row 0 --axis auto
    """
    output = output_of(context)
    options = {
        "mask": mask,
        "kernel": kernel,
        "boundary": boundary,
        "scale": scale,
        "matrix": matrix,
        "block": block,
        "shape": None if shape is None else shape_of(shape),
        "maps": maps,
        "noise_scan": noise_scan,
        "coils": coils,
        "patterns": patterns,
        "shown": shown,
        "split": split,
        "row": row,
        "angles": angles,
        "angle_unit": angle_unit,
        "axis": axis,
        "fan": fan,
        "views": views,
        "white": white,
        "dark": dark,
        "pixel": pixel,
        "noise": noise,
        "gain": gain,
    }
    given = {name: value for name, value in options.items() if value is not None}

    from idmcli.importing import import_item, parts_of
    from idmcli.io.formats import MAX_PIXELS, all_formats
    from idmcli.measuring.file import SUFFIX
    from idmcli.measuring.format import MEASUREMENT

    suffixes = {suffix for format in all_formats() if format is not MEASUREMENT for suffix in format.suffixes}
    found, missing = find_inputs(inputs, output, suffixes=suffixes, recursive=recursive)
    sources = [part for item in found for part in parts_of(item, given)]
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


def _command(item: Item, options: dict[str, Any], shape: str | None) -> str:
    """A command line that gives the same measurement."""
    texts = {**options, "shape": shape}
    given = [f"--{name.replace('_', '-')}={value}" for name, value in texts.items() if value is not None]
    return escape(shlex.join(["idm", "import", item.name, *given]))
