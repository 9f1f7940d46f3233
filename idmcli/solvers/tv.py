"""Total variation."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Generator, Tensor

from idmcli.operators import Problem
from idmcli.operators.total_variation import (
    FIDELITY,
    ITERATIONS,
    NOISE_WEIGHT,
    PRIMAL_STEP,
    TOLERANCE,
    least_total_variation,
)
from idmcli.ranges import Count, Positive, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class TotalVariationOptions:
    """w = fidelity g + noise_weight noise sqrt(g) with the gain g of A: small without noise, and growing with it as
    seen in the image.
    """

    iterations: Count = ITERATIONS  # most iterations
    tolerance: PositiveOrZero = TOLERANCE  # stop when an iteration changes every image by less, relative to its norm
    primal_step: Positive = PRIMAL_STEP  # t, the step of the image
    fidelity: PositiveOrZero = FIDELITY  # weight w of the total variation without noise
    noise_weight: PositiveOrZero = NOISE_WEIGHT  # how much w grows with the noise


def total_variation(
    problem: Problem, prior: None, options: TotalVariationOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin TV(x) + |A x - y|^2 / (2 w)``: :func:`~idmcli.operators.total_variation.least_total_variation`."""
    return least_total_variation(problem, **asdict(options), progress=progress)


SOLVER = Solver("tv", "total variation (Chambolle & Pock, 2011)", total_variation, options=TotalVariationOptions)
