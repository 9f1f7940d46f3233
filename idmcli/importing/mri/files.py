"""Files beside the one with k-space: coil maps and noise scans."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.formats import KSpace, KSpaceFormat, Numbers, format_of
from idmcli.io.items import Item


def complex_array(name: str, flag: str) -> NDArray[np.complex64]:
    """The complex array of a file, or of one item of it.

    Args:
        name: the file; its coils come first, if it is of a format of k-space.
        flag: of the command line that named it, for messages.

    Raises:
        InputError: it is no such file, or holds other numbers.
    """
    item = Item.parse(name)
    format = format_of(item.path)
    if format is None or not issubclass(format.gives, KSpace | Numbers):
        raise InputError(f"{flag}: {name!r} is not a readable file of complex numbers", "give a .cfl or .npy file")
    content: Any = format.read(item)
    values = content.samples if isinstance(content, KSpace) else np.asarray(content.values)
    if values.dtype.kind not in "fc" or not np.isfinite(values).all():
        raise InputError(f"{flag}: {name!r} does not hold finite complex numbers", "correct the file")
    return np.ascontiguousarray(values, np.complex64)


def noise_scan(name: str, coils: int) -> NDArray[np.complex64]:
    """The samples of a noise scan, (coils, N).

    Args:
        name: the file.
        coils: that k-space has.

    Raises:
        InputError: it is no such file, or of other coils.
    """
    path = Path(name)
    format = format_of(path)
    noise = format.noise(path) if isinstance(format, KSpaceFormat) else complex_array(name, "--noise-scan")
    if noise.ndim != 2 or len(noise) != coils:
        raise InputError(
            f"{name!r} is a noise scan of {len(noise)} coils, and k-space has {coils}",
            "give a noise scan of the same coils",
        )
    return noise
