"""``idm reconstruct``: from measurement files, or pictures to measure first, to pictures."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idmcli.cli.batch import for_each, output_paths
from idmcli.cli.options import (
    CHANNELS,
    ColourOption,
    CompileOption,
    ConfigOption,
    DeviceOption,
    MaxPixelsOption,
    MethodOption,
    NoiseOption,
    OverwriteOption,
    PrecisionOption,
    PresetOption,
    PrintConfigOption,
    RatioOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    TileOption,
    WeightsOption,
    choose_device,
    output_flags,
    output_of,
    show_config,
)
from idmcli.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import LinearOperator


@dataclass(frozen=True)
class Case:
    """One thing to reconstruct: an operator, y (1, \\*measurement_shape), and the truth if it is known."""

    operator: LinearOperator
    y: Tensor
    noise: float
    bits: int
    truth: Tensor | None


@output_flags
def reconstruct(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(metavar="INPUT...", help="Measurement files, pictures, folders or patterns."),
    ] = None,
    example: Annotated[bool, typer.Option("--example", help="Use the photograph that comes with idm.")] = False,
    method: MethodOption = None,
    weights: WeightsOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    ratio: RatioOption = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    seed: SeedOption = None,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", help="Folder for the pictures.", rich_help_panel="Files")
    ] = Path("reconstructions"),
    overwrite: OverwriteOption = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write a panel of truth, back-projection, result and error."),
    ] = False,
    max_pixels: MaxPixelsOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: PrecisionOption = "float32",
    tile: TileOption = None,
    compile: CompileOption = False,
) -> None:
    """Reconstruct pictures from measurement files, or measure pictures first and score the result.

    Of a measurement file nothing else is used. A picture is measured as `idm sense` would, at 30 %
    by block compressed sensing if nothing else is said, and PSNR and SSIM are printed.

    Example: idm reconstruct photo.png --ratio 0.3 --compare
    """
    from idmcli.config import load_config

    output = output_of(context)
    output.inputs(inputs=inputs, example=example, method=method, weights=weights, preset=preset, out=out)
    measuring = {
        "--ratio": ("operator.ratio", ratio),
        "--noise": ("operator.noise", noise),
        "--colour": ("task.channels", CHANNELS[colour]),
        "--seed": ("operator.seed", seed),
    }
    loaded = load_config(preset, config, settings or (), os.environ, measuring)
    if print_config:
        return show_config(output, loaded)
    if not inputs and not example:
        raise InputError("nothing to reconstruct", "name measurement files or pictures, or try --example")

    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import IMAGE_SUFFIXES, MAX_PIXELS, find_images, read_image, write_image
    from idmcli.io.measurements import SUFFIX, is_measurement_file, load_measurements, operator_of
    from idmcli.io.panels import panel
    from idmcli.measuring import item_seed, require_ratio, select_channels, simulate, to_batch
    from idmcli.metrics import psnr, ssim
    from idmcli.reconstruction import Library, load_reconstructor

    if ratio is not None:
        require_ratio(loaded.config)
    named = [*(inputs or []), *([str(files_of_package("idmcli") / "examples" / "camera.png")] if example else [])]
    files = output_paths(find_images(named, suffixes=IMAGE_SUFFIXES | {SUFFIX}), out, ".png", overwrite=overwrite)
    panels = output_paths(list(files), out, "_compare.png", overwrite=overwrite) if compare else {}
    ensure_writable(out)
    library = Library(choose_device(device, threads), precision=precision, tile=tile, compile=compile)

    def case_of(path: Path) -> Case:
        if path.suffix == SUFFIX or is_measurement_file(path):
            given = [name for name, (_, value) in measuring.items() if value is not None and name != "--seed"]
            if given:
                raise InputError(
                    f"{given[0]} is for pictures: a measurement file says how it was made", f"leave out {given[0]}"
                )
            m = load_measurements(path)
            return Case(operator_of(m), m.y[None], m.noise, m.bits, None)
        image = select_channels(read_image(path, max_pixels=max_pixels or MAX_PIXELS), loaded.config)
        for note in image.notes:
            output.warning(f"{str(path)!r}: {note}")
        simulation = simulate(image, loaded.config)
        return Case(simulation.operator, simulation.y, loaded.config.operator.noise, image.bits, to_batch(image))

    def work(path: Path) -> None:
        case = case_of(path)
        reconstructor = load_reconstructor(method, case.operator, weights, library)
        x = reconstructor(
            case.operator, case.y, noise=case.noise, seed=item_seed(loaded.config.operator.seed, path.stem)
        ).cpu()
        write_image(files[path], pixels(x), case.bits)
        record: dict[str, Any] = {
            "input": path,
            "output": files[path],
            "method": reconstructor.method,
            "kind": case.operator.kind,
            "ratio": case.operator.ratio,
        }
        text = f"{path} -> {files[path]}: {case.operator.kind} at {100 * case.operator.ratio:.1f} %"
        if case.operator.padded_shape != case.operator.image_shape:
            record["padded_shape"] = case.operator.padded_shape
            text += f", padded to {case.operator.padded_shape[1]}x{case.operator.padded_shape[2]}"
        text += f", method {reconstructor.method}"
        if case.truth is not None:
            record |= {"psnr": float(psnr(x, case.truth)), "ssim": float(ssim(x, case.truth))}
            text += f", PSNR {record['psnr']:.2f} dB, SSIM {record['ssim']:.4f}"
        if compare:
            rough = load_reconstructor("back-projection", case.operator, None, library)(case.operator, case.y).cpu()
            views = [("back-projection", pixels(rough)), (reconstructor.method, pixels(x))]
            if case.truth is not None:
                error = (5 * (x - case.truth).abs()).clamp(0, 1)
                views = [("truth", pixels(case.truth)), *views, ("error x 5", pixels(error))]
            write_image(panels[path], panel(views))
            record["panel"] = panels[path]
            text += f", panel {panels[path]}"
        output.result(record, text)

    error = for_each(list(files), work, output, "reconstructing")
    if error is not None:
        raise error


def pixels(x: Tensor) -> Any:
    """(1, C, H, W) in [0, 1] to (H, W) or (H, W, 3)."""
    return x[0, 0].numpy() if x.shape[1] == 1 else x[0].permute(1, 2, 0).numpy()
