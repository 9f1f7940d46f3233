"""Numbers that were measured by a known matrix."""

from __future__ import annotations

from math import prod

import numpy as np
import torch

from idmcli.config import Config
from idmcli.errors import InputError
from idmcli.io.formats import Numbers
from idmcli.measuring import Measurement, Provenance
from idmcli.tasks import find


def import_by_matrix(
    numbers: Numbers,
    config: Config,
    image_shape: tuple[int, int, int],
    *,
    noise: float = 0.0,
    gain: float | None = None,
    provenance: Provenance | None = None,
) -> Measurement:
    """The measurement that an array of numbers is, taken by the matrix of [operator].

    Args:
        numbers: as many as the matrix gives, in any shape; row-major order.
        config: of task matrix.
        image_shape: (C, H, W) of the image that was measured.
        noise: standard deviation of the noise of every number, in their unit.
        gain: the value that white stands for, in their unit; None to estimate it.
        provenance: where the numbers come from.

    Raises:
        InputError: their number is not the one that the matrix gives, or they are complex and the matrix is real.
        ConfigError: the matrix cannot be read.
    """
    operator = find("matrix").operator(config.operator, image_shape, "")
    values = np.asarray(numbers.values)
    expected = tuple(operator.measurement_shape)
    if values.size != prod(expected):
        raise InputError(
            f"there are {values.size} measurements, and the matrix gives {prod(expected)} for an image of "
            f"{image_shape[1]} x {image_shape[2]} pixels",
            "check --matrix and --shape",
        )
    if np.iscomplexobj(values) and not operator.complex_measurements:
        raise InputError("the measurements are complex, and the matrix is real", "take their real part")
    kind = torch.complex64 if operator.complex_measurements else torch.float32
    y = torch.from_numpy(np.ascontiguousarray(values)).to(kind).reshape(expected)
    return Measurement(operator, y, noise, gain, bits=16, provenance=provenance)
