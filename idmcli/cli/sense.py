"""``idm sense``: from pictures to measurement files."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idmcli.batch import find_inputs, for_each, output_paths, prepare_folders
from idmcli.cli.options import (
    ColourOption,
    ConfigOption,
    DryRunOption,
    MatrixOption,
    MaxPixelsOption,
    NoiseOption,
    OverwriteOption,
    PresetOption,
    PrintConfigOption,
    RatioOption,
    RecursiveOption,
    SamplingWeightsOption,
    ScaleOption,
    SeedOption,
    SetOption,
    SkipExistingOption,
    WhiteOption,
    measuring_flags,
    output_flags,
    output_of,
    sampling_flags,
)
from idmcli.cli.results import plan
from idmcli.cli.shown import MEASURING, show_config
from idmcli.errors import InputError
from idmcli.reporting import Count
from idmcli.text import escape

if TYPE_CHECKING:
    from idmcli.config import LoadedConfig
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement


@output_flags
def sense(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders or patterns.")],
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    ratio: RatioOption = None,
    matrix: MatrixOption = None,
    weights: SamplingWeightsOption = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    scale: ScaleOption = None,
    white: WhiteOption = None,
    seed: SeedOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the measurement files.")] = Path(
        "measurements"
    ),
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    recursive: RecursiveOption = False,
    dry_run: DryRunOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Simulate measurements of pictures and save each in a file of its own.

    Without a preset this is block compressed sensing. The matrix comes from the seed. Permutations,
    random masks and noise come from the seed and the file name of the picture.

    Example: idm sense photo.png --ratio 0.1 --noise 0.02

    Example: idm sense slices --preset ct --set operator.views=60 --scale=-1024,3072,HU
    """
    from idmcli.config import load_config

    output = output_of(context)
    flags = measuring_flags(ratio=ratio, noise=noise, colour=colour, seed=seed, matrix=matrix)
    sampling = sampling_flags(weights)
    if weights is not None and not sampling:
        raise InputError(
            f"{str(weights)!r} holds no network that learned its own sampling",
            "name the weights of an rk-ccsnet or a csnet-plus",
        )
    loaded = load_config(preset, config, settings or (), os.environ, flags | sampling)
    if print_config:
        return show_config(output, loaded, MEASURING)

    from idmcli.io.images import MAX_PIXELS, read_image
    from idmcli.io.scale import scale_of
    from idmcli.measuring import Provenance, operator_for, select_channels, simulate
    from idmcli.measuring.doubts import doubts
    from idmcli.measuring.file import SUFFIX
    from idmcli.methods import check_options

    check_options(loaded.config.solver)
    scaled = scale_of(scale, white)
    pictures, missing = find_inputs(images, output, recursive=recursive)
    files = output_paths(pictures, out, [SUFFIX], overwrite=overwrite, skip_existing=skip_existing)
    prepare_folders(files, out, output, of=len(pictures), dry_run=dry_run)

    def work(item: Item, progress: Count) -> None:
        image = read_image(item, scale=scaled, max_pixels=max_pixels or MAX_PIXELS)
        image = select_channels(image, loaded.config)
        if dry_run:
            return plan(item, files[item].paths, operator_for(image, loaded.config), output)
        provenance = Provenance.of_file(_command(item, loaded, scale, white), item.path)
        m = simulate(image, loaded.config, provenance)
        (path,), replace = files[item]
        m.save(path, replace=replace)
        for note in [*image.notes, *doubts(m, loaded.config, item.name)]:
            output.warning(f"{str(item)!r}: {note}")
        record = _record(item, path, m)
        output.result(record, _line(record, m.amount.text))

    error = for_each(list(files), work, output, "sensing", missing)
    if error is not None:
        raise error


def _command(item: Item, loaded: LoadedConfig, scale: str | None, white: int | None) -> str:
    """A command line that gives the same measurements, whatever else was measured with them."""
    from idmcli.config import value_of
    from idmcli.config.render import inline

    settings = [
        f"--set={key}={inline(value_of(loaded.config, key))}"
        for key, source in loaded.sources.items()
        if source != "default" and key.startswith(("task.", "operator."))
    ]
    meaning = [*([f"--scale={scale}"] if scale else []), *([f"--white={white}"] if white else [])]
    return escape(shlex.join(["idm", "sense", item.name, *settings, *meaning]))


def _record(item: Item, file: Path, m: Measurement) -> dict[str, Any]:
    operator = m.operator
    return {
        "input": str(item),
        "output": file,
        "kind": operator.kind,
        "image_shape": operator.image_shape,
        "padded_shape": operator.padded_shape,
        "y_shape": operator.measurement_shape,
        "ratio": m.amount.ratio,
        "noise": m.noise,
        "bytes": file.stat().st_size,
    }


def _line(record: dict[str, Any], amount: str) -> str:
    image, padded, y = ("x".join(map(str, record[key])) for key in ("image_shape", "padded_shape", "y_shape"))
    return (
        f"{record['input']} -> {record['output']}: {record['kind']}, image {image}"
        + (f" padded to {padded}" if padded != image else "")
        + f", y {y}, {amount}"
        + (f", noise {record['noise']:g}" if record["noise"] else "")
        + f", {record['bytes'] / 1e6:.2f} MB"
    )
