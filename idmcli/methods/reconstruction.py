"""Reconstruction: what a method makes of a measurement, and whether it can be believed."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from statistics import fmean
from typing import Any, cast

import torch
from torch import Tensor

from idmcli import __version__
from idmcli.measuring import Measurement
from idmcli.methods.fit import Fit, fit_of
from idmcli.methods.gain import estimate_gain
from idmcli.methods.held_out import believed, share_of_the_guess, with_fewer
from idmcli.methods.method import Method
from idmcli.operators import Problem

NEARLY_ALL = 0.9  # the share kept from which on no warning is needed


@dataclass(frozen=True, eq=False)
class Reconstruction:
    """The result of a method for a measurement.

    Attributes:
        images: (N, C, H, W), one for each sample, real or complex, not clipped, in units of the gain.
        gain: as stated with the measurement, or as estimated.
        fit: how well the images fit the measurements.
        seconds: wall-clock time.
        evaluations: of networks, in all (:class:`idmcli.models.evaluations.Evaluations`).
        believed: the share of what the method made where nothing was measured that is in the images; less than 1 where
            a run without some of the measurements contradicts it (:func:`idmcli.methods.held_out.share_of_the_guess`).
        unknown: the operator's unknown number as a blind method found it, the mean over the samples.
        seed: of the first sample; None for a method that draws nothing.
    """

    images: Tensor
    gain: float
    fit: Fit
    seconds: float
    evaluations: int = 0
    believed: float = 1.0
    unknown: float | None = None
    seed: int | None = None

    def doubts(self, method: Method) -> list[str]:
        """Warnings, if the result does not go with the measurements, a second run contradicts it or it is too rough."""
        found = self.fit.doubts(method.solver.meets)
        if self.believed < NEARLY_ALL:
            found.append(
                f"a second run with fewer measurements contradicts the method, so the result has "
                f"{100 * self.believed:.0f} % of what it made where nothing was measured; compare another --method"
            )
        return found

    @property
    def raw(self) -> Tensor:
        """The images in the unit of y."""
        return self.images * self.gain

    @property
    def x(self) -> Tensor:
        """The images as pictures in 0..1: magnitudes of complex ones, clipped."""
        return as_pictures(self.images)


def as_pictures(images: Tensor) -> Tensor:
    """Images in units of the gain as pictures in 0..1: magnitudes of complex ones, clipped."""
    return (images.abs() if images.is_complex() else images).clamp(0, 1)


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
        progress: called with steps done and steps in all, over all samples; the second run, without some of the
            measurements, counts as one sample more.

    Raises:
        InputError: the method cannot handle the operator, or its prior the images.
        NumericalError: the result is not finite.
    """
    first = m.seed if seed is None else seed
    gain = estimate_gain(m.operator, m.y) if m.gain is None else m.gain
    problem = m.problem(gain)
    fewer = with_fewer(problem) if "others" in method.solver.meets else None
    runs = samples + (fewer is not None)
    unknown: dict[int, float] = {}
    steps = 1  # of a sample

    def draw(n: int) -> Tensor:
        def told(done: int, total: int, estimate: float | None = None) -> None:
            nonlocal steps
            steps = total
            if estimate is not None:
                unknown[n] = estimate
            progress(n * total + done, runs * total)

        return method(problem, seed=(first + n) % 2**32, progress=told)

    def told_again(done: int, total: int, estimate: float | None = None) -> None:
        progress(samples * steps + done * steps // total, runs * steps)

    before, start = method.evaluations.count, time.perf_counter()
    images = torch.cat([draw(n) for n in range(samples)]).cpu()
    share = 1.0
    if fewer is not None:
        again = method.quick()(fewer.problem, seed=first, progress=told_again).cpu()
        linear = cast(Problem, problem)  # as the operator can do with fewer measurements
        share = share_of_the_guess(images[:1], again, linear, fewer)
        images = believed(images, linear, share)
    seconds, evaluations = time.perf_counter() - start, method.evaluations.count - before
    found = fmean(unknown.values()) if unknown else None
    known = problem if found is None else replace(problem, operator=m.operator.with_unknown(found))
    return Reconstruction(
        images,
        gain,
        fit_of(images, known, compared="roughness" in method.solver.meets),
        seconds,
        evaluations,
        share,
        found,
        first if method.solver.samples else None,
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
