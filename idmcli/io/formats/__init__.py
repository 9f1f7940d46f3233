"""The file formats that idm reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idmcli.io.formats.base import MAX_PIXELS, Format, Picture, PictureFormat, head_of
from idmcli.io.formats.plain import Bmp, Gif, Jpeg
from idmcli.io.formats.portable import Png
from idmcli.io.formats.tiff import Tiff
from idmcli.plugins import FORMATS

__all__ = [
    "FORMATS",
    "MAX_PIXELS",
    "PICTURES",
    "Format",
    "Picture",
    "PictureFormat",
    "format_of",
    "head_of",
]

PICTURES: tuple[PictureFormat, ...] = (Png(), Jpeg(), Tiff(), Bmp(), Gif())


def format_of(path: Path) -> Format[Any] | None:
    """The format of a file by its content; None for a file that no format recognises."""
    for name in FORMATS.names():
        format: Format[Any] = FORMATS.find(name)()
        if format.recognises(path):
            return format
    return None
