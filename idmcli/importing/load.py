"""The import of one item of a file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions, Facts, Importer
from idmcli.io.formats import MAX_PIXELS, Format, format_of
from idmcli.plugins import IMPORTERS

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement


def import_item(
    item: Item, given: Mapping[str, Any], *, command: str = "", max_pixels: int = MAX_PIXELS
) -> tuple[Measurement, list[str]]:
    """A measurement of one item of a file, and what was assumed.

    Args:
        item: the file, and which part of it.
        given: the options that the user gave, by name.
        command: the command line, for the record.
        max_pixels: images with more pixels are refused.

    Raises:
        InputError: the file cannot be read; nothing says what its data are, or something is missing: the hint names
            the option that gives it.
    """
    from idmcli.measuring import Provenance

    format = _format(item)
    importer = importer_for(format, given, str(item))
    options = importer.check(given)
    content = format.read(importer.part(item, options), max_pixels=max_pixels)
    assumptions = Assumptions()
    m = importer.measure(content, options, item, assumptions)
    provenance = Provenance.of_file(command, item.path)
    return replace(m, provenance=replace(provenance, notes=tuple(assumptions.texts))), assumptions.texts


def parts_of(item: Item, given: Mapping[str, Any] | None = None) -> list[Item]:
    """The items of a file that options choose: all without options; the item itself if the file cannot be read.

    Args:
        item: the file, and perhaps which part of it.
        given: the options that the user gave, by name.
    """
    format = format_of(item.path)
    if item.number is not None or format is None:
        return [item]
    try:
        if given:
            importer = importer_for(format, given, str(item))
            chosen = importer.part(item, importer.check(given))
            if chosen != item:
                return [chosen]
        return [replace(part, below=item.below) for part in format.items(item.path)]
    except InputError:  # said when it is read
        return [item]


def importer_for(format: Format[Any], given: Mapping[str, Any], name: str) -> Importer[Any, Any]:
    """The importer for items of a format, by the options that were given.

    Args:
        format: of the file.
        given: the options by name.
        name: of the item, for messages.

    Raises:
        InputError: no importer takes such data with these options.
    """
    able = [importer for importer in _importers() if issubclass(format.gives, importer.content)]
    for importer in able:
        if not importer.claimed_by or any(option in given for option in importer.claimed_by):
            return importer
    flags = [f"--{option.replace('_', '-')}" for importer in able for option in importer.claimed_by]
    if not flags:
        raise InputError(
            f"{name!r} ({format.name}) holds no measurements", "`idm sense` simulates measurements of pictures"
        )
    ways = "; ".join(
        f"{' or '.join('--' + option.replace('_', '-') for option in importer.claimed_by)}: {importer.noun}"
        for importer in able
    )
    raise InputError(f"{name!r} ({format.name}) does not say what was measured", f"say so by `idm import`: {ways}")


def facts_of(item: Item) -> Facts | None:
    """The facts about the raw data in one item of a file; None if there are none.

    Raises:
        InputError: the file cannot be read.
    """
    format = format_of(item.path)
    able = [] if format is None else [each for each in _importers() if issubclass(format.gives, each.content)]
    if format is None or not able:
        return None
    facts: Facts = min(able, key=lambda importer: bool(importer.claimed_by)).facts(format.read(item))
    return facts


def _importers() -> list[Importer[Any, Any]]:
    return [IMPORTERS.find(name) for name in IMPORTERS.in_order()]


def _format(item: Item) -> Format[Any]:
    format = format_of(item.path)
    if format is None:
        from idmcli.io.files import require_file

        require_file(item.path)
        raise InputError(f"{str(item)!r} is of no format that idm knows", "`idm import --help` lists the formats")
    return format
