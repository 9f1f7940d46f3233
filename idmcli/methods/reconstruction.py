"""Reconstruction: what a method makes of a measurement, and whether it can be believed."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from idmcli import __version__
from idmcli.measuring import Measurement
from idmcli.methods.gain import estimate_gain
from idmcli.methods.method import Method
from idmcli.operators import Operator, Problem


@dataclass(frozen=True)
class Fit:
    """How well a result fits its measurements.

    Attributes:
        misfit: ``|A x - y| / |y|``; the largest over the samples.
        explained: the misfit that the stated noise explains, ``sqrt(M) noise / |y|`` for M real numbers.
        outside: the share of values outside the range 0..1 by more than a tenth of it; None for complex images.
    """

    misfit: float
    explained: float
    outside: float | None

    def doubts(self) -> list[str]:
        """A warning, if misfit, noise and range do not go together."""
        found = []
        if self.misfit > max(MISFIT, 3 * self.explained):
            found.append(
                f"the result explains the measurements to {100 * self.misfit:.2g} % only, and the stated noise "
                f"to {100 * self.explained:.2g} %"
            )
        if self.outside is not None and self.outside > OUTSIDE:
            found.append(f"{100 * self.outside:.2g} % of the values lie far outside the expected range")
        if not found:
            return []
        return [f"{' and '.join(found)}: check the order, centring, axis and unit of the measurements, and the noise"]


MISFIT = 0.1  # of methods that meet the measurements least closely, on measurements that fit their operator
OUTSIDE = 0.02
MARGIN = 0.1  # of the range 0..1


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """What a method made of a measurement.

    Attributes:
        raw: (N, C, H, W), one image for each sample, real or complex, not clipped, in the unit of y where 1 stands
            for ``gain``.
        gain: as stated with the measurement, or as estimated.
        fit: how well the images fit the measurements.
        seconds: wall-clock time.
        evaluations: of networks, in all (:class:`idmcli.models.evaluations.Evaluations`).
        unknown: the operator's unknown number as a blind method found it, the mean over the samples.
        seed: of the first sample; None for a method that draws nothing.
    """

    raw: Tensor
    gain: float
    fit: Fit
    seconds: float
    evaluations: int = 0
    unknown: float | None = None
    seed: int | None = None

    @property
    def x(self) -> Tensor:
        """The images as pictures in 0..1: magnitudes of complex ones, divided by the gain and clipped."""
        return as_pictures(self.raw, self.gain)


def as_pictures(raw: Tensor, gain: float) -> Tensor:
    """Images in 0..1: magnitudes of complex ones, divided by the gain and clipped."""
    return ((raw.abs() if raw.is_complex() else raw) / gain).clamp(0, 1)


def solve(
    m: Measurement,
    method: Method,
    *,
    samples: int = 1,
    seed: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reconstruction:
    """Reconstruct a measurement.

    Args:
        m: what was measured.
        method: how to reconstruct it.
        samples: how many to draw, with seeds that follow one another.
        seed: of the first; :attr:`Measurement.seed` if None.
        progress: called with steps done and steps in all, over all samples.

    Raises:
        InputError: the method cannot handle the operator, or its prior the images.
        NumericalError: the result is not finite.
    """
    first = m.seed if seed is None else seed
    gain = estimate_gain(m.operator, m.y) if m.gain is None else m.gain
    problem = m.problem(gain)
    unknown: dict[int, float] = {}

    def draw(n: int) -> Tensor:
        def told(done: int, total: int, estimate: float | None = None) -> None:
            if estimate is not None:
                unknown[n] = estimate
            progress(n * total + done, samples * total)

        return method(problem, seed=(first + n) % 2**32, progress=told)

    before, start = method.evaluations.count, time.perf_counter()
    images = torch.cat([draw(n) for n in range(samples)]).cpu()
    seconds, evaluations = time.perf_counter() - start, method.evaluations.count - before
    return Reconstruction(
        images * gain,
        gain,
        fit_of(images, problem),
        seconds,
        evaluations,
        fmean(unknown.values()) if unknown else None,
        first if method.solver.samples else None,
    )


@torch.no_grad()
def fit_of(images: Tensor, problem: Problem[Operator]) -> Fit:
    """How well images (N, C, H, W) in 0..1 fit a problem on the CPU."""
    y = problem.y
    dtype = y.real.dtype.to_complex() if problem.operator.complex_image else y.real.dtype
    size = float(y.norm())
    residuals = [float((problem.operator.A(image[None].to(dtype)) - y).norm()) for image in images]
    count = y.numel() * (2 if y.is_complex() else 1)
    outside = None
    if not images.is_complex():
        outside = float(((images < -MARGIN) | (images > 1 + MARGIN)).double().mean())
    return Fit(
        misfit=max(residuals) / size if size else math.inf if max(residuals) else 0.0,
        explained=math.sqrt(count) * problem.noise / size if size else 0.0,
        outside=outside,
    )


def provenance_of(m: Measurement, method: Method, result: Reconstruction) -> dict[str, Any]:
    """How a result was made, JSON-able: enough to make it again."""
    origin = m.provenance
    return {
        "version": __version__,
        "source": None if origin is None else origin.source,
        "source_sha256": None if origin is None else origin.source_sha256,
        "spec": m.spec,
        "noise": m.noise,
        "gain": result.gain,
        "method": method.name,
        "options": asdict(method.options),
        "weights": method.weights_name,
        "precision": method.precision,
        "ensemble": method.ensemble,
        "seed": result.seed,
        "misfit": result.fit.misfit,
    }
