"""Blur as a camera records it: light is mixed before the camera's response curve."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import torch
from torch import Tensor

from idmcli.operators.base import Operator, Spec
from idmcli.operators.blur import Blur
from idmcli.operators.linearisation import Linearisation


class NonlinearBlur(Operator):
    """``y = g(k * g^-1(x))``, (batch, C, H, W) like x.

    While a camera moves, its sensor adds up the light of many sharp frames. The response curve g then turns light into
    the picture (Nah, Kim & Lee, CVPR 2017, Eq. 2, the data set GOPRO). They take ``g(u) = u^(1/2.2)``; here g is the
    transfer function of sRGB (IEC 61966-2-1), which is close to it and has a finite slope at 0. Bright light spreads
    further than it does by ``k * x``.

    Args:
        blur: the convolution with k.

    Example:
        >>> camera = NonlinearBlur(Blur((1, 1, 3), torch.ones(1, 3)))
        >>> camera.A(torch.tensor([[[[0.0, 1.0, 0.0]]]]))
        tensor([[[[0.8360, 0.6125, 0.8360]]]])
    """

    kind = "nonlinear_deblur"
    unknown_name = "std"

    def __init__(self, blur: Blur) -> None:
        super().__init__()
        self.blur = blur
        self.image_shape = self.measurement_shape = blur.image_shape

    def A(self, x: Tensor) -> Tensor:
        return encode(self.blur.A(decode(x)))

    def linearised(self, x: Tensor) -> Linearisation:
        """``J u = g'(m) (k * (u / g'(l)))`` with the light ``l = g^-1(x)`` and, mixed, ``m = k * l``."""
        light = decode(x)
        mixed = self.blur.A(light)
        before, after = 1 / slope(light), slope(mixed)
        return Linearisation(
            encode(mixed), lambda u: after * self.blur.A(before * u), lambda v: before * self.blur.AT(after * v)
        )

    def rough_inverse(self, y: Tensor) -> Tensor:
        """The blurred picture itself."""
        self.check_measurements(y)
        return y

    @property
    def unknown(self) -> float | None:
        """The standard deviation of a Gaussian blur."""
        return self.blur.unknown

    def with_unknown(self, value: float) -> Self:
        return type(self)(self.blur.with_unknown(value))

    def arrays(self) -> Mapping[str, Tensor]:
        return self.blur.arrays()

    def to_spec(self) -> Spec:
        return {**self.blur.to_spec(), "kind": self.kind}

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        return cls(Blur.from_spec(spec, arrays))


def decode(x: Tensor) -> Tensor:
    """Light from sRGB values in [0, 1]: g^-1. It is linear below that range, and the same power above."""
    return torch.where(x <= 0.04045, x / 12.92, ((x.clamp_min(0.04045) + 0.055) / 1.055) ** 2.4)


def encode(u: Tensor) -> Tensor:
    """sRGB values from light in [0, 1]: g."""
    return torch.where(u <= 0.0031308, 12.92 * u, 1.055 * u.clamp_min(0.0031308) ** (1 / 2.4) - 0.055)


def slope(u: Tensor) -> Tensor:
    """The derivative of :func:`encode`."""
    return torch.where(u <= 0.0031308, 12.92, 1.055 / 2.4 * u.clamp_min(0.0031308) ** (1 / 2.4 - 1))
