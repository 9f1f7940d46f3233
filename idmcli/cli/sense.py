"""``idm sense``: from pictures to measurement files."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idmcli.cli.batch import for_each, output_paths
from idmcli.cli.options import (
    CHANNELS,
    ColourOption,
    ConfigOption,
    MaxPixelsOption,
    NoiseOption,
    OverwriteOption,
    PresetOption,
    PrintConfigOption,
    RatioOption,
    SeedOption,
    SetOption,
    output_flags,
    output_of,
    show_config,
)
from idmcli.output import escape

if TYPE_CHECKING:
    from idmcli.config import Loaded
    from idmcli.operators import LinearOperator


@output_flags
def sense(
    context: typer.Context,
    images: Annotated[list[str], typer.Argument(metavar="IMAGE...", help="Pictures, folders or patterns.")],
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    ratio: RatioOption = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    seed: SeedOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the files.", rich_help_panel="Files")
    ] = Path("measurements"),
    overwrite: OverwriteOption = False,
    max_pixels: MaxPixelsOption = None,
) -> None:
    """Simulate measurements of pictures and save each in a file of its own.

    Block compressed sensing if no preset is named. The cs matrix comes from the seed; permutations,
    random masks and noise come from the seed and the file name of the picture.
    """
    from idmcli.config import load_config

    output = output_of(context)
    output.inputs(images=images, preset=preset, config=config, out=out)
    flags = {
        "--ratio": ("operator.ratio", ratio),
        "--noise": ("operator.noise", noise),
        "--colour": ("task.channels", CHANNELS[colour]),
        "--seed": ("operator.seed", seed),
    }
    loaded = load_config(preset, config, settings or (), os.environ, flags)
    if print_config:
        return show_config(output, loaded)

    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import MAX_PIXELS, find_images, read_image
    from idmcli.io.measurements import SUFFIX, Provenance, save_measurements
    from idmcli.measuring import pack, require_ratio, select_channels, simulate

    if ratio is not None:
        require_ratio(loaded.config)
    files = output_paths(find_images(images), out, SUFFIX, overwrite=overwrite)
    ensure_writable(out)

    def work(path: Path) -> None:
        image = select_channels(read_image(path, max_pixels=max_pixels or MAX_PIXELS), loaded.config)
        provenance = Provenance.of_file(_command(path, loaded), path)
        simulation = simulate(image, loaded.config)
        save_measurements(files[path], pack(simulation, image, loaded.config, provenance))
        for note in image.notes:
            output.warning(f"{str(path)!r}: {note}")
        record = _record(path, files[path], simulation.operator, loaded.config.operator.noise)
        output.result(record, _line(record))

    error = for_each(list(files), work, output, "sensing")
    if error is not None:
        raise error


def _command(path: Path, loaded: Loaded) -> str:
    """A command line that gives the same measurements, whatever else was measured with them."""
    from idmcli.config import value_of
    from idmcli.config.render import inline

    settings = [
        f"--set={key}={inline(value_of(loaded.config, key))}"
        for key, source in loaded.sources.items()
        if source != "default" and key.startswith(("task.", "operator."))
    ]
    return escape(shlex.join(["idm", "sense", path.name, *settings]))


def _record(path: Path, file: Path, operator: LinearOperator, noise: float) -> dict[str, Any]:
    return {
        "input": path,
        "output": file,
        "kind": operator.kind,
        "image_shape": operator.image_shape,
        "padded_shape": operator.padded_shape,
        "y_shape": operator.measurement_shape,
        "ratio": operator.ratio,
        "noise": noise,
        "bytes": file.stat().st_size,
    }


def _line(record: dict[str, Any]) -> str:
    image, padded, y = ("x".join(map(str, record[key])) for key in ("image_shape", "padded_shape", "y_shape"))
    return (
        f"{record['input']} -> {record['output']}: {record['kind']}, image {image}"
        + (f" padded to {padded}" if padded != image else "")
        + f", y {y}, {100 * record['ratio']:.1f} % of the image"
        + (f", noise {record['noise']:g}" if record["noise"] else "")
        + f", {record['bytes'] / 1e6:.2f} MB"
    )
