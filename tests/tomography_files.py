"""Small files of scanners, as they are written by others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import scipy.io
from numpy.typing import NDArray

GEOMETRY = {"distanceSourceOrigin": 60.0, "distanceSourceDetector": 80.0, "distanceUnit": "mm", "pixelSizePost": 1.0}


def write_dxchange(
    path: str | Path,
    views: NDArray[Any],
    theta: NDArray[Any] | None,
    *,
    white: NDArray[Any] | None = None,
    dark: NDArray[Any] | None = None,
    units: str | None = "degrees",
    **options: Any,
) -> None:
    """A scan (views, rows, detectors) in the layout of DXchange."""
    with h5py.File(path, "w") as file:
        file.create_dataset("exchange/data", data=views, **options)
        fields = {"data_white": white, "data_dark": dark, "theta": theta}
        for name, values in fields.items():
            if values is not None:
                file[f"exchange/{name}"] = values
        if theta is not None and units is not None:
            file["exchange/theta"].attrs["units"] = units


def write_ct_data(path: str | Path, sinogram: NDArray[Any], **parameters: Any) -> None:
    """A scan of version 5 in the layout of the Helsinki tomography challenge."""
    content = {"type": "2d", "sinogram": sinogram, "parameters": GEOMETRY | parameters}
    scipy.io.savemat(path, {"CtDataLimited": content}, do_compression=True)


def write_ct_data_7(path: str | Path, sinogram: NDArray[Any], **parameters: Any) -> None:
    """The same of version 7.3: HDF5 behind a header of 512 bytes, axes reversed, text as numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        group = file.create_group("CtDataFull")
        group["sinogram"] = sinogram.T
        for name, value in (GEOMETRY | parameters).items():
            numbers = np.array([[ord(letter)] for letter in value], np.uint16) if isinstance(value, str) else value
            group[f"parameters/{name}"] = np.atleast_2d(numbers)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")
