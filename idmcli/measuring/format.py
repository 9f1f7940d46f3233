"""Measurement files as a format."""

from __future__ import annotations

from pathlib import Path

from idmcli.errors import InputError
from idmcli.io.files import require_file
from idmcli.io.formats.base import MAX_PIXELS, Format
from idmcli.io.items import Item
from idmcli.measuring.file import is_measurement_file, load_measurement, save_measurement
from idmcli.measuring.measurement import Measurement


class MeasurementFile(Format[Measurement]):
    """The measurements of one picture."""

    name = "measurements"
    gives = Measurement
    suffixes = (".safetensors",)

    def recognises(self, path: Path) -> bool:
        """See :func:`idmcli.measuring.file.is_measurement_file`."""
        try:
            require_file(path)
        except InputError:
            return False
        return is_measurement_file(path)

    def items(self, path: Path) -> list[Item]:
        """The one item."""
        require_file(path)
        return [Item(path)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Measurement:
        """See :func:`idmcli.measuring.file.load_measurement`."""
        if item.number not in (None, 1):
            raise InputError(
                f"{str(item)!r} is not there: the file holds the measurements of one picture",
                f"leave out #{item.number}",
            )
        return load_measurement(item.path, max_pixels=max_pixels)

    def write(self, path: Path, content: Measurement, *, replace: bool = True) -> None:
        """See :func:`idmcli.measuring.file.save_measurement`."""
        save_measurement(path, content, replace=replace)


MEASUREMENT = MeasurementFile()
