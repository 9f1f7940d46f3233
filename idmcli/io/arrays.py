"""Results that no picture holds: unclipped, perhaps complex."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.io.records import to_line
from idmcli.io.scale import Scale

SUFFIX = ".npz"


def write_array(
    path: str | Path,
    pixels: NDArray[Any],
    *,
    scale: Scale | None = None,
    provenance: Mapping[str, Any] | None = None,
    replace: bool = True,
) -> None:
    """Write a result as it is, real or complex, atomically, for ``numpy.load``.

    The file holds ``x``, the values in their scale, and ``record``, one line of JSON with the scale and the
    provenance. Equal contents give equal bytes.

    Args:
        path: ``.npz``.
        pixels: any shape; 0 is black, 1 is white.
        scale: what 0 and 1 stand for.
        provenance: how it was made, JSON-able.
        replace: a file that exists; InputError if not.

    Raises:
        InputError: another suffix.
        ResourceError: the folder cannot be written to.
    """
    path, scale = Path(path), scale or Scale()
    if path.suffix != SUFFIX:
        raise InputError(f"an array cannot be saved as {str(path)!r}", f"give it the suffix {SUFFIX}")
    record = to_line({"scale": scale.to_json(), "provenance": dict(provenance or {})})
    np.savez(buffer := BytesIO(), x=scale.invert(pixels), record=np.array(record))
    write_bytes(path, buffer.getvalue(), replace=replace)
