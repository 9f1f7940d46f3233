"""``idm reconstruct``: from measurement files, or pictures to measure first, to pictures."""

from __future__ import annotations

import os
from dataclasses import asdict, replace
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from idmcli import __version__
from idmcli.cli.batch import for_each, output_paths, plan, prepare_folders
from idmcli.cli.options import (
    ColourOption,
    CompileOption,
    ConfigOption,
    DeviceOption,
    DryRunOption,
    EnsembleOption,
    MaxPixelsOption,
    MethodOption,
    NoiseOption,
    OverwriteOption,
    PrecisionOption,
    PresetOption,
    PrintConfigOption,
    PriorOption,
    RatioOption,
    RecursiveOption,
    SamplesOption,
    ScaleOption,
    SeedOption,
    SetOption,
    SkipExistingOption,
    ThreadsOption,
    TileOption,
    WeightsOption,
    choose_device,
    measuring_flags,
    output_flags,
    output_of,
    scale_of,
    show_config,
)
from idmcli.cli.results import Results
from idmcli.errors import ConfigError, InputError
from idmcli.reporting import Count

if TYPE_CHECKING:
    from idmcli.io.images import Image
    from idmcli.io.items import Item
    from idmcli.io.measurements import Measurements
    from idmcli.library import Method
    from idmcli.operators import Operator


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
    prior: PriorOption = None,
    preset: PresetOption = None,
    config: ConfigOption = None,
    settings: SetOption = None,
    print_config: PrintConfigOption = False,
    ratio: RatioOption = None,
    noise: NoiseOption = None,
    colour: ColourOption = None,
    scale: ScaleOption = None,
    seed: SeedOption = None,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the pictures.", rich_help_panel="Files")
    ] = Path("reconstructions"),
    format: Annotated[
        Literal["png", "tif", "npz"],
        typer.Option(
            "--format",
            help="Of the results: png clips to black and white, tif holds 32-bit values in their scale, npz complex "
            "ones as well.",
            rich_help_panel="Files",
        ),
    ] = "png",
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    recursive: RecursiveOption = False,
    dry_run: DryRunOption = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write a panel of truth, pseudo-inverse, result and error."),
    ] = False,
    samples: SamplesOption = 1,
    max_pixels: MaxPixelsOption = None,
    device: DeviceOption = "auto",
    threads: ThreadsOption = None,
    precision: PrecisionOption = "auto",
    ensemble: EnsembleOption = False,
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
    measuring = measuring_flags(ratio=ratio, noise=noise, colour=colour, seed=seed)
    loaded = load_config(
        preset,
        config,
        settings or (),
        os.environ,
        {**measuring, "--method": ("solver.method", method)},
    )
    if print_config:
        return show_config(output, loaded)
    if not inputs and not example:
        raise InputError("nothing to reconstruct", "name measurement files or pictures, or try --example")

    from idmcli.experiment import mask_doubts, select_channels, simulate, solve, unpack
    from idmcli.io.formats import MeasurementFile, format_of
    from idmcli.io.images import IMAGE_SUFFIXES, MAX_PIXELS, find_items, read_image
    from idmcli.io.measurements import SUFFIX, Measurements, Provenance
    from idmcli.library import Library, check_options, out_of_the_box

    check_options(loaded.config.solver)
    named = [*(inputs or []), *([str(files_of_package("idmcli") / "examples" / "camera.png")] if example else [])]
    sources = find_items(named, suffixes=IMAGE_SUFFIXES | {SUFFIX}, recursive=recursive)
    scaled, results = scale_of(scale), Results(format, samples, compare)
    files = output_paths(sources, out, results.endings, overwrite=overwrite, skip_existing=skip_existing)
    prepare_folders(files, out, output, of=len(sources), dry_run=dry_run)
    library = Library(
        choose_device(device, threads),
        precision=precision,
        ensemble=ensemble,
        tile=tile,
        compile=compile,
        tell=output.warning,
    )
    library.given(weights, prior)  # what is wrong with them is said before any work

    measuring_keys = [key for key in loaded.sources if key.startswith(("task.", "operator."))]

    def measured(item: Item) -> Measurements | Image:
        if item.path.suffix == SUFFIX or isinstance(format_of(item.path), MeasurementFile):
            free = ("--seed", "--noise")
            given = [name for name, (_, value) in measuring.items() if value is not None and name not in free]
            given += ["--scale"] if scale is not None else []
            given += [f"--set {key}" for key in measuring_keys if loaded.sources[key] == "--set"]
            if given:
                raise InputError(
                    f"{given[0]} is for pictures: a measurement file says how it was made", f"leave out {given[0]}"
                )
            found = MeasurementFile().read(item, max_pixels=max_pixels or MAX_PIXELS)
            asked, there, source = loaded.config.task.kind, found.spec.get("kind"), loaded.sources["task.kind"]
            if source != "default" and asked != there:
                raise InputError(
                    f"{str(item)!r} holds measurements of {there!r}, not of {asked}", f"leave out {source}"
                )
            if noise is None:
                return found
            if found.noise > 0:
                raise InputError(f"{str(item)!r} has noise {found.noise:g}, by its own word", "leave out --noise")
            return replace(found, noise=noise)
        image = read_image(item, scale=scaled, max_pixels=max_pixels or MAX_PIXELS)
        return select_channels(image, loaded.config)

    def method_for(operator: Operator, noise: float) -> Method:
        method = library.method(None, operator, weights, loaded.config.solver, prior=prior, noise=noise)
        if samples > 1 and not method.solver.samples:
            able = [solver.name for solver in out_of_the_box(operator) if solver.samples]
            raise ConfigError(
                f"--samples {samples}: method {method.name} does not sample",
                f"leave out --samples, or choose a --method that does: {', '.join(able)}",
            )
        method.check(operator)
        return method

    def work(item: Item, progress: Count) -> None:
        source = measured(item)
        if isinstance(source, Measurements):
            case, origin = unpack(source), source.provenance
        else:
            case, origin = simulate(source, loaded.config), Provenance.of_file("", item.path)
            for note in [*source.notes, *mask_doubts(case, loaded.config)]:
                output.warning(f"{str(item)!r}: {note}")
        try:
            method = method_for(case.operator, case.noise)
        except ConfigError as error:
            if isinstance(source, Measurements):  # the next file may be of a kind that was asked for
                raise InputError(error.message, error.hint) from error
            raise
        if dry_run:
            return plan(item, files[item], case.operator, output, method=method.name)
        given = loaded.config.solver.seed
        if given is None and isinstance(source, Measurements):
            given = seed  # of a file nothing else is left to draw
        first = case.seed if given is None else given
        found = solve(
            case,
            method,
            samples=samples,
            seed=first,
            progress=lambda done, total: progress.note(f"{item.name}: {method.name} {done}/{total}"),
        )
        provenance = {
            "version": __version__,
            "source": origin.source,
            "source_sha256": origin.source_sha256,
            "spec": case.spec,
            "noise": case.noise,
            "method": method.name,
            "options": asdict(method.options),
            "weights": method.weights_name,
            "precision": method.precision,
            "ensemble": method.ensemble,
            "seed": first if method.solver.samples else None,
        }
        rough = None
        if compare:
            plain = library.method("pinv", case.operator, None, SolverConfig())
            rough = found.x if method.name == "pinv" else solve(case, plain).x
        record, text = results.write(files[item], case, found, rough, provenance)
        output.result({"input": str(item), **record}, f"{item} -> {text}")

    error = for_each(list(files), work, output, "reconstructing")
    if error is not None:
        raise error
