"""Whether a result can be believed: its fit with the measurements, their noise, and the range of images."""

from __future__ import annotations

import math
from collections.abc import Set
from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.operators import Operator, Problem

MISFIT = 0.05  # what methods that meet the measurements leave of them at most, on measurements without noise
NOISE_FACTOR = 3.0  # by which the misfit may exceed what the noise explains
LOUD = 0.7  # of the measurements, explained by noise alone
OUTSIDE = 0.05  # share of the values that may lie outside the range
MARGIN = 0.1  # of the range 0..1, that values may reach beyond it
DARK = 0.05  # of white, that a sound image exceeds somewhere
BRIGHTEST = 0.995  # quantile that stands for the brightest values


@dataclass(frozen=True)
class Fit:
    """How well a result fits its measurements.

    Attributes:
        misfit: ``|A x - y| / |y|``; the largest over the samples.
        explained: the misfit that the stated noise explains, ``sqrt(M) noise / |y|`` for M real numbers.
        outside: the share of values outside 0..gain by more than a tenth of the gain; 0 for complex images.
        brightest: the 99.5th percentile of the magnitudes, 1 for the gain.
    """

    misfit: float
    explained: float
    outside: float
    brightest: float

    def doubts(self, meets: Set[str] = frozenset({"measurements", "range"})) -> list[str]:
        """At most one warning: what does not go together, and what may be the reason.

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
        if not found:
            return []
        return [f"{'; '.join(found)}: check the order, centre, axis and unit of the measurements, and the noise level"]


def percent(share: float) -> str:
    """A share for people."""
    return f"{100 * share:.2g} %"


@torch.no_grad()
def fit_of(images: Tensor, problem: Problem[Operator]) -> Fit:
    """How well images fit a problem.

    Args:
        images: (N, C, H, W), in units of the gain.
        problem: of one measurement, on the CPU.
    """
    operator, y = problem.operator, problem.y
    dtype = y.real.dtype.to_complex() if operator.complex_image else y.real.dtype
    size, count = float(y.norm()), y.numel() * (2 if y.is_complex() else 1)
    residual = max(float((operator.A(image[None].to(dtype)) - y).norm()) for image in images)
    ordered = images.abs().flatten().sort().values
    outside = 0.0
    if not images.is_complex():
        outside = float(((images < -MARGIN) | (images > 1 + MARGIN)).double().mean())
    return Fit(
        misfit=residual / size if size else math.inf if residual else 0.0,
        explained=math.sqrt(count) * problem.noise / size if size else 0.0,
        outside=outside,
        brightest=float(ordered[round(BRIGHTEST * (len(ordered) - 1))]),
    )
