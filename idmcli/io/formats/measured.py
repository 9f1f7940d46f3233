"""Measurement files as a format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from idmcli.errors import InputError
from idmcli.io.files import require_file
from idmcli.io.formats.base import MAX_PIXELS, Format
from idmcli.io.items import Item

if TYPE_CHECKING:
    from idmcli.io.measurements import Measurements


class MeasurementFile(Format["Measurements"]):
    """The measurements of one picture; what it needs is loaded only when it is used."""

    name = "measurements"
    suffixes = (".safetensors",)

    def recognises(self, path: Path) -> bool:
        """See :func:`idmcli.io.measurements.is_measurement_file`."""
        from idmcli.io.measurements import is_measurement_file

        try:
            require_file(path)
        except InputError:
            return False
        return is_measurement_file(path)

    def items(self, path: Path) -> list[Item]:
        """The one item."""
        require_file(path)
        return [Item(path)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Measurements:
        """See :func:`idmcli.io.measurements.load_measurements`."""
        from idmcli.io.measurements import load_measurements

        if item.number not in (None, 1):
            raise InputError(
                f"{str(item)!r} is not there: the file holds the measurements of one picture",
                f"leave out #{item.number}",
            )
        return load_measurements(item.path, max_pixels=max_pixels)

    def write(self, path: Path, content: Measurements) -> None:
        """See :func:`idmcli.io.measurements.save_measurements`."""
        from idmcli.io.measurements import save_measurements

        save_measurements(path, content)
