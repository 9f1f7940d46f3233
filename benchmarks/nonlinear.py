"""The default for nonlinear operators of users beside total variation by gradients, on pictures that nobody tuned for.

    python -m benchmarks.nonlinear

PSNR in dB of five pictures of 64 x 64 pixels, at most 50 each, and their mean.
"""

from __future__ import annotations

from collections.abc import Callable
from statistics import fmean

import torch
from torch import Tensor

import idmcli as idm
from benchmarks.everyday import score
from benchmarks.pictures import PICTURES
from idmcli.operators import Blur, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT

SHAPE = (1, 64, 64)
NAMES = ("text", "face", "coins", "ellipses", "spine")
ABSORBED = 3.0 / 64  # of each pixel's light: e^-3 through a white picture


class Sensor(idm.Operator):
    """``y = f(A x)``, element by element."""

    def __init__(
        self, inner: LinearOperator, response: Callable[[Tensor], Tensor], inverse: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.inner, self.response, self.inverse = inner, response, inverse
        self.image_shape, self.measurement_shape = inner.image_shape, inner.measurement_shape

    def A(self, x: Tensor) -> Tensor:
        return self.response(self.inner.A(x))

    def rough_inverse(self, y: Tensor) -> Tensor:
        return self.inner.rough_inverse(self.inverse(y))


SENSORS = {
    "saturated compressed sensing": Sensor(
        CompressedSensing(SHAPE, 0.3), torch.tanh, lambda y: torch.atanh(y.clamp(-0.999, 0.999))
    ),
    "squared blur": Sensor(
        Blur(SHAPE, {"type": "gaussian", "size": 9, "std": 1.5}),
        lambda u: u.clamp_min(0) ** 2,
        lambda y: y.clamp_min(0).sqrt(),
    ),
    "powers of 30 % of the pixels": Sensor(
        Inpainting(SHAPE, {"type": "random", "ratio": 0.3, "seed": 1}),
        lambda u: u.clamp_min(1e-4) ** 2.2,
        lambda y: y.clamp_min(1e-8) ** (1 / 2.2),
    ),
    "light through an object, 40 views": Sensor(
        ParallelBeamCT(SHAPE, 40),
        lambda u: torch.exp(-ABSORBED * u),
        lambda y: -torch.log(y.clamp_min(1e-6)) / ABSORBED,
    ),
}


def grey(name: str) -> Tensor:
    """A picture of 64 x 64 pixels, (64, 64), the mean of its colours."""
    picture = torch.from_numpy(PICTURES[name](SHAPE[1])).float()
    return picture.mean(-1) if picture.ndim == 3 else picture


def main() -> None:
    for name, sensor in SENSORS.items():
        for noise in (0.0, 0.01):
            measured = [idm.sense(grey(picture).numpy(), sensor, noise=noise) for picture in NAMES]
            for method in (None, "gradient"):
                psnr = [score(m, method) or 0.0 for m in measured]
                each = " ".join(f"{value:6.2f}" for value in psnr)
                print(f"{name:34s} {noise:5.2f} {method or 'default':10s} {fmean(psnr):6.2f}   {each}")


if __name__ == "__main__":
    main()
