"""``idm reconstruct``: from measurement files, or pictures to measure first, to pictures."""

from __future__ import annotations

import os
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idmcli.cli.batch import for_each, output_paths
from idmcli.cli.options import (
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
    SamplesOption,
    SeedOption,
    SetOption,
    ThreadsOption,
    TileOption,
    WeightsOption,
    choose_device,
    measuring_flags,
    output_flags,
    output_of,
    show_config,
)
from idmcli.errors import ConfigError, InputError
from idmcli.output import Progress

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.experiment import Case


STD_GAIN = 5  # standard deviations are small: what a picture of them is multiplied with


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
        typer.Option("--compare", help="Also write a panel of truth, pseudo-inverse, result and error."),
    ] = False,
    samples: SamplesOption = 1,
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
    from idmcli.config import SolverConfig, load_config

    output = output_of(context)
    output.inputs(inputs=inputs, example=example, method=method, weights=weights, preset=preset, out=out)
    measuring = measuring_flags(ratio=ratio, noise=noise, colour=colour, seed=seed)
    loaded = load_config(
        preset, config, settings or (), os.environ, measuring | {"--method": ("solver.method", method)}
    )
    if print_config:
        return show_config(output, loaded)
    if not inputs and not example:
        raise InputError("nothing to reconstruct", "name measurement files or pictures, or try --example")

    from idmcli.experiment import score, select_channels, simulate, solve, unpack
    from idmcli.io.atomic import ensure_writable
    from idmcli.io.images import IMAGE_SUFFIXES, MAX_PIXELS, find_images, read_image, write_image
    from idmcli.io.measurements import SUFFIX, is_measurement_file, load_measurements
    from idmcli.io.panels import panel
    from idmcli.library import Library

    named = [*(inputs or []), *([str(files_of_package("idmcli") / "examples" / "camera.png")] if example else [])]
    sources = find_images(named, suffixes=IMAGE_SUFFIXES | {SUFFIX})
    endings = [".png", *(["_compare.png"] if compare else []), *(["_mean.png", "_std.png"] if samples > 1 else [])]
    files = output_paths(sources, out, endings, overwrite=overwrite)
    ensure_writable(out)
    library = Library(choose_device(device, threads), precision=precision, tile=tile, compile=compile)

    def case_of(path: Path) -> Case:
        if path.suffix == SUFFIX or is_measurement_file(path):
            given = [name for name, (_, value) in measuring.items() if value is not None and name != "--seed"]
            if given:
                raise InputError(
                    f"{given[0]} is for pictures: a measurement file says how it was made", f"leave out {given[0]}"
                )
            return unpack(load_measurements(path))
        image = select_channels(read_image(path, max_pixels=max_pixels or MAX_PIXELS), loaded.config)
        for note in image.notes:
            output.warning(f"{str(path)!r}: {note}")
        return simulate(image, loaded.config)

    def work(path: Path, progress: Progress) -> None:
        case, written = case_of(path), dict(zip(endings, files[path], strict=True))
        reconstruct = library.method(None, case.operator, weights, loaded.config.solver)
        if samples > 1 and not reconstruct.solver.samples:
            raise ConfigError(f"--samples {samples}: method {reconstruct.name} does not sample", "leave out --samples")
        found = solve(
            case,
            reconstruct,
            samples=samples,
            seed=loaded.config.solver.seed,
            progress=lambda done, total: progress.note(f"{path.name}: {reconstruct.name} {done}/{total}"),
        )
        x = found.x[:1]
        write_image(written[".png"], pixels(x), case.bits)
        record: dict[str, Any] = {
            "input": path,
            "output": written[".png"],
            "method": reconstruct.name,
            "kind": case.operator.kind,
            "ratio": case.amount.ratio,
            "seconds": found.seconds,
        }
        text = f"{path} -> {written['.png']}: {case.operator.kind}, {case.amount.text}"
        if case.operator.padded_shape != case.operator.image_shape:
            record["padded_shape"] = case.operator.padded_shape
            text += f", padded to {case.operator.padded_shape[1]}x{case.operator.padded_shape[2]}"
        text += f", method {reconstruct.name}"
        if case.truth is not None:
            record |= score(x, case.truth)._asdict()
            text += f", PSNR {record['psnr']:.2f} dB, SSIM {record['ssim']:.4f}"
        if samples > 1:
            mean, spread = found.x.mean(0, keepdim=True), found.x.std(0, keepdim=True)
            write_image(written["_mean.png"], pixels(mean), case.bits)
            write_image(written["_std.png"], pixels((STD_GAIN * spread).clamp(0, 1)), 16)
            record |= {"samples": samples, "mean": written["_mean.png"], "std": written["_std.png"]}
            text += f"; mean of {samples} samples in {written['_mean.png']}"
            if case.truth is not None:
                record["mean_psnr"] = score(mean, case.truth).psnr
                text += f", PSNR {record['mean_psnr']:.2f} dB"
            text += f", standard deviation x {STD_GAIN} in {written['_std.png']}"
        if compare:
            rough = solve(case, library.method("pinv", case.operator, None, SolverConfig())).x
            views = [("A+ y", pixels(rough)), (reconstruct.name, pixels(x))]
            if case.truth is not None:
                error = (5 * (x - case.truth).abs()).clamp(0, 1)
                views = [("truth", pixels(case.truth)), *views, ("error x 5", pixels(error))]
            write_image(written["_compare.png"], panel(views))
            record["panel"] = written["_compare.png"]
            text += f", panel {written['_compare.png']}"
        output.result(record, text)

    error = for_each(list(files), work, output, "reconstructing")
    if error is not None:
        raise error


def pixels(x: Tensor) -> Any:
    """(1, C, H, W) in [0, 1] to (H, W) or (H, W, 3)."""
    return x[0, 0].numpy() if x.shape[1] == 1 else x[0].permute(1, 2, 0).numpy()
