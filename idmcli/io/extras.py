"""Libraries that only some files need: imported when such a file is read, with one line that says how to get them."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from idmcli.errors import InputError

EXTRAS = {"h5py": "hdf5", "scipy": "matlab", "pydicom": "dicom", "nibabel": "nifti", "twixtools": "twix"}


def optional(module: str, what: str) -> ModuleType:
    """A module of a library that comes with one of idm's extras, "scipy.io" for example.

    Args:
        module: its dotted name.
        what: the files or operators that need it, in the plural.

    Raises:
        InputError: the library is not installed.
    """
    library = module.partition(".")[0]
    try:
        return import_module(module)
    except ImportError as error:
        extra = EXTRAS[library]
        raise InputError(f"{what} need the library {library}", f"pip install 'idmcli[{extra}]'") from error
