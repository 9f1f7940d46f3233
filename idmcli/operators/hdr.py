"""High dynamic range: light that the sensor cannot hold is clipped."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import Operator, Spec
from idmcli.operators.checks import check_image_shape, is_number, shown
from idmcli.operators.spec import Specification
from idmcli.operators.stored import check_arrays


class HDRSpecification(Specification):
    """The gain alone."""

    gain: float = 2.0


class HDR(Operator):
    """``y = clip(1/2 + gain (x - 1/2), 0, 1)``, (batch, C, H, W) like x.

    For images on the scale from -1 to 1 this is ``clip(gain x, -1, 1)``. ReSample and its followers take a gain of 2,
    which loses the darkest and the brightest quarter of the range.

    Args:
        image_shape: (C, H, W).
        gain: >= 1.

    Raises:
        InputError: the gain is out of range.

    Example:
        >>> HDR((1, 1, 3)).A(torch.tensor([[[[0.1, 0.4, 0.9]]]]))
        tensor([[[[0.0000, 0.3000, 1.0000]]]])
    """

    kind = "hdr"
    unknown_name = "gain"

    def __init__(self, image_shape: tuple[int, int, int], gain: float = 2.0) -> None:
        super().__init__()
        self.image_shape = self.measurement_shape = check_image_shape(image_shape)
        if not is_number(gain) or not 1 <= gain <= sys.float_info.max:
            raise InputError(f"the gain is {shown(gain)}", "it must be a number from 1 on")
        self.gain = float(gain)

    def A(self, x: Tensor) -> Tensor:
        return (0.5 + self.gain * (x - 0.5)).clamp(0, 1)

    def rough_inverse(self, y: Tensor) -> Tensor:
        """The image itself where nothing was clipped, and elsewhere the middle of what is possible in [0, 1]."""
        self.check_measurements(y)
        margin = (1 - 1 / self.gain) / 2  # of the range, lost at either end
        x = 0.5 + (y - 0.5) / self.gain
        return torch.where(y <= 0, margin / 2, torch.where(y >= 1, 1 - margin / 2, x))

    @property
    def unknown(self) -> float:
        """The gain."""
        return self.gain

    def with_unknown(self, value: float) -> Self:
        return type(self)(self.image_shape, max(1.0, value))

    def to_spec(self) -> Spec:
        return {"kind": self.kind, "image_shape": list(self.image_shape), "gain": self.gain}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = HDRSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(read.image_shape, read.gain)
