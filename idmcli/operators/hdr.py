"""High dynamic range: light that the sensor cannot hold is clipped."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import Operator, Spec
from idmcli.operators.spec import check_arrays, check_image_shape, check_keys


class HDR(Operator):
    """``y = clip(1/2 + gain (x - 1/2), 0, 1)``, (batch, C, H, W) like x.

    On the scale from -1 to 1 that is ``clip(gain x, -1, 1)``, with gain 2 in ReSample and its followers: the
    darkest and the brightest quarter of the range are lost.

    Args:
        image_shape: (C, H, W).
        gain: >= 1.

    Raises:
        InputError: the gain is out of range.
    """

    kind = "hdr"
    unknown_name = "gain"

    def __init__(self, image_shape: tuple[int, int, int], gain: float = 2.0) -> None:
        super().__init__()
        self.image_shape = self.measurement_shape = check_image_shape(image_shape)
        if isinstance(gain, bool) or not isinstance(gain, int | float) or not 1 <= gain <= sys.float_info.max:
            raise InputError(f"the gain is {gain!r}", "it must be a number from 1 on")
        self.gain = float(gain)

    def A(self, x: Tensor) -> Tensor:
        self.check_image(x)
        return (0.5 + self.gain * (x - 0.5)).clamp(0, 1)

    def rough_inverse(self, y: Tensor) -> Tensor:
        """Exact where nothing was clipped; elsewhere the middle of what is possible in [0, 1]."""
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
        check_keys("hdr specification", spec, {"kind": (str,), "image_shape": (list,)}, {"gain": (float,)})
        check_arrays("hdr specification", arrays, [])
        return cls(check_image_shape(spec["image_shape"]), spec.get("gain", 2.0))
