"""``idm info``: what files and run folders hold."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from idmcli.batch import for_each
from idmcli.cli.options import output_flags, output_of
from idmcli.errors import InputError
from idmcli.reporting import Count

if TYPE_CHECKING:
    from torch import nn

    from idmcli.io.items import Item
    from idmcli.training.run_folder import RunFolder


@output_flags
def info(
    context: typer.Context,
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="FILE...", help="Measurement files, raw data, pictures, weights, model or run folders."),
    ],
) -> None:
    """Show what files hold and how they were made: measurements, raw data, results, weights, runs.

    Files are checked in the same way as when they are used. If raw data have several parts, the first is shown. FILE#N
    names another part.

    Example: idm info measurements/photo.safetensors reconstructions/photo.png
    """
    from idmcli.io.items import Item

    output = output_of(context)

    def work(item: Item, progress: Count) -> None:
        record = {"input": str(item), **described(item)}
        rows = dict(_rows(record))
        width = max(map(len, rows))
        output.result(record, [f"{key:<{width}}  {text}" for key, text in rows.items()])

    error = for_each([Item.parse(path) for path in inputs], work, output, "reading")
    if error is not None:
        raise error


def described(item: Item) -> dict[str, Any]:
    """The content of a file or folder, or of one part of a file, JSON-able; "type" says what it is.

    Raises:
        InputError: it is nothing that idm reads, or damaged.
        NumericalError: weights are not finite.
    """
    from idmcli.io.files import require_file
    from idmcli.io.formats import Picture, format_of
    from idmcli.measuring.format import MEASUREMENT
    from idmcli.priors import is_prior
    from idmcli.training.run_folder import RunFolder

    path = item.path
    if os.path.isdir(path):
        run = RunFolder(path)
        if run.config.is_file():
            return _run(run)
        if is_prior(path):
            return _weights(path)
        raise InputError(f"{str(path)!r} is a folder of neither a run nor a model", "name the files in it")
    require_file(path)
    format = format_of(path)
    if format is MEASUREMENT:
        return _measurements(path)
    if format is not None:
        return _picture(path) if issubclass(format.gives, Picture) else _raw(item)
    return _weights(path)


def _raw(item: Item) -> dict[str, Any]:
    from idmcli.importing import facts_of, parts_of
    from idmcli.io.formats import format_of

    format = format_of(item.path)
    assert format is not None
    parts = parts_of(item)
    facts = facts_of(parts[0])
    record = {"type": "raw data", "format": format.name, "parts": len(format.items(item.path))}
    if facts is None:
        return record
    return {**record, "of": str(parts[0]), **facts.known, "missing": list(facts.missing)}


def _measurements(path: Path) -> dict[str, Any]:
    from idmcli.measuring import load_measurement

    m = load_measurement(path)
    made = None if m.provenance is None else asdict(m.provenance)
    return {"type": "measurements", **m.record(), "made": made}


def _picture(path: Path) -> dict[str, Any]:
    from idmcli.io.formats import MAX_PIXELS, format_of
    from idmcli.io.images import as_image, read_provenance

    format = format_of(path)
    assert format is not None
    items = format.items(path)
    picture = format.read(items[0], max_pixels=MAX_PIXELS)
    samples = picture.samples
    try:
        image = as_image(picture, items[0])
        scale, notes = str(image.scale), list(image.notes)
    except InputError as error:  # its values need a scale
        scale, notes = None, [f"{error.message}: {error.hint}"]
    return {
        "type": "picture",
        "format": format.name,
        "pages": len(items),
        "pixels": " x ".join(map(str, samples.shape[:2])),
        "colour": "grey" if samples.ndim == 2 else "rgb",
        "bits": 8 * samples.dtype.itemsize,
        "samples": f"{samples.dtype}, {samples.min():g} to {samples.max():g}",
        "scale": scale,
        "geometry": None if picture.geometry is None else picture.geometry.to_json(),
        "notes": notes,
        "made": read_provenance(path),
    }


def _weights(path: Path) -> dict[str, Any]:
    from idmcli.methods.weights import read_weights

    weights = read_weights(path)
    priors = {"prior": "prior", "latent": "latent prior"}
    record: dict[str, Any] = {"type": priors.get(weights.kind, "network")}
    if weights.kind in priors:
        record |= {"name": weights.name, **_size(weights.network), "channels": weights.model.domain.channels}
    if weights.kind == "prior":
        record["noise_levels"] = list(weights.model.noise_levels)
    if weights.kind not in priors:
        record |= _size(weights.network)
    own = {"trained_for": "trained_for", "training": "training_record"}
    return record | {key: value for key, name in own.items() if (value := getattr(weights.network, name, None))}


def _size(network: nn.Module) -> dict[str, Any]:
    return {"parameters": sum(parameter.numel() for parameter in network.parameters())}


def _run(run: RunFolder) -> dict[str, Any]:
    from idmcli.config import load_config, sections_of

    return {
        "type": "run",
        "started": run.read_record(),
        "last": next(reversed(run.rows()), {}),
        "checkpoint": run.checkpoint.is_file(),
        "weights": run.weights.is_file(),
        "config": sections_of(load_config(None, run.config).config),
    }


def _rows(content: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, str]]:
    """Nested records as lines: dotted names, and values as text."""
    for key, value in content.items():
        if isinstance(value, Mapping) and value:
            yield from _rows(value, f"{before}{key}.")
        elif value not in (None, [], {}, ""):
            yield f"{before}{key}", str(value)
