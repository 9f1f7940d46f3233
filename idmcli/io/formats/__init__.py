"""The file formats that idm reads and writes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from idmcli.io.formats.base import MAX_PIXELS, Format, Picture, PictureFormat, head_of
from idmcli.io.formats.cfl import Cfl
from idmcli.io.formats.ct_data import CtData
from idmcli.io.formats.dicom import Dicom
from idmcli.io.formats.dxchange import DXchange
from idmcli.io.formats.fastmri import FastMRI
from idmcli.io.formats.ismrmrd import Ismrmrd
from idmcli.io.formats.kspace import KSpace, KSpaceFormat
from idmcli.io.formats.nifti import Nifti
from idmcli.io.formats.numbers import Mat, Npy, Npz, Numbers, Text
from idmcli.io.formats.plain import Bmp, Gif, Jpeg
from idmcli.io.formats.portable import Png
from idmcli.io.formats.sinogram import Sinogram
from idmcli.io.formats.tiff import Tiff
from idmcli.io.formats.twix import Twix
from idmcli.plugins import FORMATS

__all__ = [
    "CFL",
    "CT_DATA",
    "DXCHANGE",
    "FASTMRI",
    "ISMRMRD",
    "KSpace",
    "KSpaceFormat",
    "MAX_PIXELS",
    "MAT",
    "NPY",
    "NPZ",
    "Numbers",
    "TEXT",
    "TWIX",
    "Format",
    "Picture",
    "PictureFormat",
    "Sinogram",
    "all_formats",
    "format_of",
    "head_of",
    "picture_formats",
]

PNG, JPEG, TIFF, BMP, GIF, DICOM, NIFTI = Png(), Jpeg(), Tiff(), Bmp(), Gif(), Dicom(), Nifti()
NPY, NPZ, MAT, TEXT = Npy(), Npz(), Mat(), Text()
CT_DATA, DXCHANGE = CtData(), DXchange()
CFL, FASTMRI, ISMRMRD, TWIX = Cfl(), FastMRI(), Ismrmrd(), Twix()


def format_of(path: Path) -> Format[Any] | None:
    """The format of a file by its content; None for a file that no format recognises."""
    formats = map(FORMATS.find, FORMATS.in_order())  # a broken one of a package is met by files that idm does not know
    return next((format for format in formats if format.recognises(path)), None)


def picture_formats() -> list[PictureFormat]:
    """Every format of pictures, idm's own first."""
    return [format for format in all_formats() if isinstance(format, PictureFormat)]


def all_formats() -> list[Format[Any]]:
    """Every format, idm's own first."""
    return [FORMATS.find(name) for name in FORMATS.in_order()]
