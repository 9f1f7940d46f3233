"""Whether a result can be believed: its fit with the measurements, their noise, the range of images, and A+ y."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.numerics.differences import gradient
from idmcli.operators import LinearOperator, Operator, Problem

MISFIT = 0.05  # what methods that meet the measurements leave of them at most, on measurements without noise
NOISE_FACTOR = 3.0  # by which the misfit may exceed what the noise explains
LOUD = 0.7  # of the measurements, explained by noise alone
OUTSIDE = 0.05  # share of the values that may lie outside the range
MARGIN = 0.1  # of the range 0..1, that values may reach beyond it
DARK = 0.05  # of white, that a sound image exceeds somewhere
BRIGHTEST = 0.995  # quantile that stands for the brightest values
ROUGH = 3.0  # times as rough as A+ y: good networks make images 1.1 times so (docs/lab-notes.md)
SMOOTH = 0.00125  # of the range from pixel to pixel: the roughness that A+ y of a flat picture counts as


@dataclass(frozen=True)
class Fit:
    """How well a result fits its measurements.

    Attributes:
        misfit: ``|A x - y| / |y|``; the largest over the samples.
        explained: the misfit that the stated noise explains, ``sqrt(M) noise / |y|`` for M real numbers.
        outside: the share of values outside 0..gain by more than a tenth of the gain; 0 for complex images.
        brightest: the 99.5th percentile of the magnitudes, 1 for the gain.
        rougher: how many times as rough as A+ y the roughest image is, by total variation; 0 if nobody asked.
    """

    misfit: float
    explained: float
    outside: float
    brightest: float
    rougher: float = 0.0

    def doubts(self, meets: Set[str] = frozenset({"measurements", "range"})) -> list[str]:
        """Warnings: what does not go together, and what may be the reason.

        Args:
            meets: what the method's results meet wherever the measurements are sound.
        """
        found = []
        if "measurements" in meets and self.misfit > max(MISFIT, NOISE_FACTOR * self.explained):
            found.append(
                f"{percent(self.misfit)} of the measurements are not met, of which the stated noise explains "
                f"{percent(self.explained)}"
            )
        if self.explained > LOUD:
            found.append(f"the stated noise is {percent(self.explained)} of the measurements")
        if "range" in meets and self.outside > OUTSIDE:
            found.append(f"{percent(self.outside)} of the values lie far outside the expected range")
        if "range" in meets and self.brightest < DARK:
            found.append(f"no value exceeds {percent(self.brightest)} of the expected white")
        warnings = []
        if found:
            check = "check the order, centre, axis and unit of the measurements, and the noise level"
            warnings.append(f"{'; '.join(found)}: {check}")
        if "roughness" in meets and self.rougher > ROUGH:
            warnings.append(
                f"the result is {self.rougher:.2g} times as rough as A+ y, the image that the measurements show by "
                "themselves: the network made up structure; use another --method"
            )
        return warnings


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.2g} %"


@torch.no_grad()
def fit_of(images: Tensor, problem: Problem[Operator], *, compared: bool = False) -> Fit:
    """How well images fit a problem.

    Args:
        images: (N, C, H, W), in units of the gain.
        problem: of one measurement, on the CPU.
        compared: whether to compare their roughness with that of A+ y; only for a linear operator.
    """
    operator, y = problem.operator, problem.y
    dtype = y.real.dtype.to_complex() if operator.complex_image else y.real.dtype
    size, count = float(y.norm()), y.numel() * (2 if y.is_complex() else 1)
    residual = max(float((operator.A(image[None].to(dtype)) - y).norm()) for image in images)
    ordered = images.abs().flatten().sort().values
    outside = 0.0
    if not images.is_complex():
        outside = float(((images < -MARGIN) | (images > 1 + MARGIN)).double().mean())
    rougher = 0.0
    if compared and isinstance(operator, LinearOperator):
        rougher = max(map(roughness, images)) / (roughness(operator.pinv(y)[0]) + SMOOTH)
    return Fit(
        misfit=residual / size if size else math.inf if residual else 0.0,
        explained=math.sqrt(count) * problem.noise / size if size else 0.0,
        outside=outside,
        brightest=float(ordered[round(BRIGHTEST * (len(ordered) - 1))]),
        rougher=rougher,
    )


def roughness(image: Tensor) -> float:
    """The mean over the pixels of the length of the gradient, of an image (C, H, W)."""
    return float(gradient(image).abs().square().sum(0).sqrt().mean())
