"""The files that idm reads and writes, field by field."""

from __future__ import annotations

from dataclasses import MISSING, fields

from docs.generate.markdown import attributes, first_paragraph, joined, table
from docs.generate.options import default_of
from idmcli.io.tensor_file import FileKind, peek
from idmcli.measuring import file, measurement
from idmcli.models import checkpoints
from idmcli.operators import Operator
from idmcli.plugins import FORMATS, IMPORTERS

MEASUREMENTS = """A measurement file is a [safetensors](https://huggingface.co/docs/safetensors) file of one measured
picture. It holds y and everything that defines A."""
TENSORS = (
    ("`y`", "the measurements, real or complex64, without a batch dimension"),
    (
        "`operator.NAME`",
        "the arrays that rebuild the operator and cannot be made from a seed: masks, kernels, maps, matrices",
    ),
)
WEIGHTS = "A weights file is a safetensors file of one network, with its configuration. The tensors are its parameters."
WEIGHTS_RECORD = {
    "schema": "version of the record",
    "kind": "what the network is: `prior`, `sr3`, `latent`, `idm`, or the kind of an installed package",
    "config": "the shape of the network",
    "training": "how it was trained: configuration, data, iterations; for the record",
    "trained_for": "`task`, `operator` (its options), `channels` and `domain` (the subject) of the images; or null",
}


def page() -> str:
    """Measurement files, weights files, and the formats of others."""
    return joined(
        "# File formats",
        "## Measurement files",
        MEASUREMENTS,
        "**Tensors**",
        table(("name", "content"), TENSORS),
        "**Record**",
        _wrapped(file.KIND),
        table(("field", "default", "meaning"), _measurement_fields()),
        "The `provenance` is null, or an object with these fields:",
        table(("field", "default", "meaning"), _fields(measurement.Provenance)),
        f"`spec` is an object with the `kind` of the operator, its `image_shape` [C, H, W], and the keys of that kind. "
        f"{first_paragraph(Operator.to_spec.__doc__)}",
        "## Weights files",
        WEIGHTS,
        "**Record**",
        _wrapped(checkpoints.KIND),
        table(("field", "meaning"), _weights_fields()),
        "## Formats that are read",
        "The content of a file decides, not its name. `FILE#N` is part N of a file, from 1.",
        table(("format", "endings", "content"), _formats()),
        "`idm import`, and `idm reconstruct` of raw data, try these importers in this order:",
        table(("importer", "what it takes"), _importers()),
    )


def _wrapped(kind: FileKind) -> str:
    return (
        f'The only metadata entry is `{kind.key}`. It is the JSON text `{{"sha256": ..., "record": text}}`. The '
        "checksum covers the text of the record and every tensor: its name, type, shape and bytes. The record is JSON "
        f"text with `schema` = {kind.schema} and these fields:"
    )


def _fields(record: type, meanings: dict[str, str] | None = None) -> list[tuple[str, str, str]]:
    found = meanings or attributes(record.__doc__)
    rows = []
    for each in fields(record):
        required = each.default is MISSING and each.default_factory is MISSING
        rows.append(
            (f"`{each.name}`", "" if required else _default(default_of(each)), found[each.name].replace("None", "null"))
        )
    return rows


def _default(text: str) -> str:
    return "null" if text == "not set" else text


def _measurement_fields() -> list[tuple[str, str, str]]:
    return _fields(file._Record, attributes(measurement.Measurement.__doc__) | attributes(file.Stored.__doc__))


def _weights_fields() -> list[tuple[str, str]]:
    """The fields of shipped weights; KeyError if one has no meaning here."""
    shipped = peek(checkpoints.shipped_weights("prior-grey"), checkpoints.KIND)
    return [(f"`{name}`", WEIGHTS_RECORD[name]) for name in WEIGHTS_RECORD | shipped]


def _formats() -> list[tuple[str, str, str]]:
    found = [(name, FORMATS.find(name)) for name in FORMATS.in_order()]
    return [
        (name, ", ".join(f"`{suffix}`" for suffix in format.suffixes), first_paragraph(type(format).__doc__))
        for name, format in found
    ]


def _importers() -> list[tuple[str, str]]:
    return [(name, first_paragraph(type(IMPORTERS.find(name)).__doc__)) for name in IMPORTERS.in_order()]
