"""``idm reconstruct``: from measurement files, or pictures to measure first, to pictures."""

from __future__ import annotations

import os
from dataclasses import replace
from importlib.resources import files as files_of_package
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from idmcli.batch import find_inputs, for_each, output_paths, prepare_folders
from idmcli.cli.options import (
    ColourOption,
    CompileOption,
    ConfigOption,
    DeviceOption,
    DryRunOption,
    EnsembleOption,
    GainOption,
    MatrixOption,
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
    ShapeOption,
    SkipExistingOption,
    ThreadsOption,
    TileOption,
    WeightsOption,
    WhiteOption,
    measuring_flags,
    output_flags,
    output_of,
    sampling_flags,
    shape_of,
)
from idmcli.cli.results import Results, plan
from idmcli.cli.shown import RECONSTRUCTING, show_config, with_method
from idmcli.devices import choose_device
from idmcli.errors import ConfigError, InputError
from idmcli.reporting import Count

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.methods import Method
    from idmcli.operators import Operator


@output_flags
def reconstruct(
    context: typer.Context,
    inputs: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="INPUT...", help="Measurement files, raw data, pictures, FILE#N for one part, folders or patterns."
        ),
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
    matrix: MatrixOption = None,
    shape: ShapeOption = None,
    noise: NoiseOption = None,
    gain: GainOption = None,
    colour: ColourOption = None,
    scale: ScaleOption = None,
    white: WhiteOption = None,
    seed: SeedOption = None,
    out: Annotated[Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the results.")] = Path(
        "reconstructions"
    ),
    format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="png|tif|npz|dcm|nii.gz|...",
            help="The format of the results: png clips to black and white; tif, dcm and nii.gz hold values in their "
            "scale, the medical ones with their place in the patient; npz holds complex ones as well.",
            rich_help_panel="Files",
        ),
    ] = "png",
    overwrite: OverwriteOption = False,
    skip_existing: SkipExistingOption = False,
    recursive: RecursiveOption = False,
    dry_run: DryRunOption = False,
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write a panel: truth, what was measured of it, result and error."),
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
    """Reconstruct pictures from measurement files or raw data, or measure pictures first and score the result.

    A measurement file needs nothing beside it. Raw data are imported first, as by `idm import`.
    A picture is measured first, at 30 % by block compressed sensing unless a preset or an option
    says otherwise, and PSNR and SSIM are printed.

    Example: idm reconstruct photo.png --ratio 0.3 --compare

    Example: idm reconstruct photo.png --preset inpainting --method tv

    Example: idm reconstruct scan.h5#2 --format npz

    Example: idm reconstruct y.npy --matrix phi.npz --shape 64,64
    """
    from idmcli.config import load_config

    output = output_of(context)
    measuring = measuring_flags(ratio=ratio, noise=noise, colour=colour, seed=seed, matrix=matrix)
    loaded = load_config(
        preset,
        config,
        settings or (),
        os.environ,
        {**measuring, **sampling_flags(weights), "--method": ("solver.method", method)},
    )
    if print_config:
        return show_config(output, with_method(loaded, weights, prior), RECONSTRUCTING)
    if not inputs and not example:
        raise InputError("nothing to reconstruct", "name measurement files or pictures, or try --example")

    from idmcli.importing import import_item, parts_of
    from idmcli.io.formats import format_of
    from idmcli.io.images import MAX_PIXELS, image_suffixes, read_image
    from idmcli.io.scale import scale_of
    from idmcli.measuring import Measurement, Provenance, select_channels, simulate
    from idmcli.measuring.doubts import doubts
    from idmcli.measuring.file import SUFFIX
    from idmcli.measuring.format import MEASUREMENT
    from idmcli.methods import Methods, check_options, runnable, solve
    from idmcli.methods.reconstruction import provenance_of

    check_options(loaded.config.solver)
    named = [*(inputs or []), *([str(files_of_package("idmcli") / "examples" / "camera.png")] if example else [])]
    suffixes = image_suffixes() | {SUFFIX}
    found, missing = find_inputs(named, output, suffixes=suffixes, recursive=recursive)
    sources = [part for item in found for part in (parts_of(item) if is_raw(item.path) else [item])]
    scaled, results = scale_of(scale, white), Results(format, samples, compare)
    results.check()
    files = output_paths(sources, out, results.endings, overwrite=overwrite, skip_existing=skip_existing)
    prepare_folders(files, out, output, of=len(sources), dry_run=dry_run)
    methods = Methods(
        choose_device(device, threads),
        precision=precision,
        ensemble=ensemble,
        tile=tile,
        compile=compile,
        warn=output.warning,
    )
    methods.named(weights, prior)  # what is wrong with them is said before any work

    measuring_keys = [key for key in loaded.sources if key.startswith(("task.", "operator."))]

    def refuse_measuring(what: str, *free: str) -> None:
        """Options of a simulation are for pictures."""
        given = [name for name, (_, value) in measuring.items() if value is not None and name not in free]
        given += ["--scale"] if scale is not None else []
        given += ["--white"] if white is not None else []
        given += [f"--set {key}" for key in measuring_keys if loaded.sources[key] == "--set"]
        if given:
            raise InputError(f"{given[0]} is for pictures: {what} says how it was made", f"leave out {given[0]}")

    def loaded_measurement(item: Item) -> Measurement:
        refuse_measuring("a measurement file", "--seed", "--noise")
        m = MEASUREMENT.read(item, max_pixels=max_pixels or MAX_PIXELS)
        asked, source = loaded.config.task.kind, loaded.sources["task.kind"]
        if source != "default" and asked != m.operator.kind:
            raise InputError(
                f"{str(item)!r} holds measurements of {m.operator.kind!r}, not of {asked}", f"leave out {source}"
            )
        if noise is not None and m.noise > 0:
            raise InputError(f"{str(item)!r} states a noise of {m.noise:g} itself", "leave out --noise")
        return replace(m, noise=m.noise if noise is None else noise, gain=m.gain if gain is None else gain)

    def imported(item: Item) -> Measurement:
        refuse_measuring("a file of raw data", "--seed", "--noise", "--matrix", "implied by --matrix")
        given = {"matrix": matrix, "shape": None if shape is None else shape_of(shape), "noise": noise, "gain": gain}
        m, assumed = import_item(item, {name: value for name, value in given.items() if value is not None})
        for text in assumed:
            output.status(f"{item}: assumed: {text}")
        return m

    def simulated(item: Item) -> Measurement:
        if gain is not None:
            raise InputError("--gain is for measurements, and this is a picture", "leave out --gain")
        image = read_image(item, scale=scaled, max_pixels=max_pixels or MAX_PIXELS)
        image = select_channels(image, loaded.config)
        m = simulate(image, loaded.config, Provenance.of_file("", item.path))
        for note in [*image.notes, *doubts(m, loaded.config, item.name)]:
            output.warning(f"{str(item)!r}: {note}")
        return m

    def method_for(operator: Operator, noise: float) -> Method:
        method = methods.method(None, operator, weights, loaded.config.solver, prior=prior, noise=noise)
        if samples > 1 and not method.solver.samples:
            able = [solver.name for solver in runnable(operator) if solver.samples]
            raise ConfigError(
                f"--samples {samples}: method {method.name} does not sample",
                f"leave out --samples, or choose a --method that does: {', '.join(able)}",
            )
        method.check(operator)
        return method

    def work(item: Item, progress: Count) -> None:
        from_file = True
        if item.path.suffix == SUFFIX or format_of(item.path) is MEASUREMENT:
            m = loaded_measurement(item)
        elif is_raw(item.path):
            m = imported(item)
        else:
            from_file, m = False, simulated(item)
        try:
            method = method_for(m.operator, m.noise / (m.gain or 1.0))
        except ConfigError as error:
            if from_file:  # the next file may be of a kind that was asked for
                raise InputError(error.message, error.hint) from error
            raise
        if dry_run:
            return plan(item, files[item].paths, m.operator, output, method=method.name)
        given = loaded.config.solver.seed
        if given is None and from_file:
            given = seed  # of a file nothing else is left to draw
        result = solve(
            m,
            method,
            samples=samples,
            seed=given,
            progress=lambda done, total: progress.note(f"{item.name}: {method.name} {done}/{total}", done / total),
        )
        for doubt in result.doubts(method):
            output.warning(f"{str(item)!r}: {doubt}")
        record, text = results.write(files[item], m, result, provenance_of(m, method, result))
        output.result({"input": str(item), **record}, f"{item} -> {text}")

    error = for_each(list(files), work, output, "reconstructing", missing)
    if error is not None:
        raise error


def is_raw(path: Path) -> bool:
    """Whether a file holds raw data: neither a picture nor a measurement of idm's."""
    from idmcli.io.formats import Picture, format_of
    from idmcli.measuring.file import SUFFIX
    from idmcli.measuring.format import MEASUREMENT

    format = None if path.suffix == SUFFIX else format_of(path)
    return format not in (None, MEASUREMENT) and not issubclass(format.gives, Picture)
