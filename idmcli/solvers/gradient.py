"""Total variation by gradients of the operator, which need not be linear."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Generator, Tensor

from idmcli.operators import Operator, Problem
from idmcli.operators.total_variation import (
    GRADIENT_FIDELITY,
    GRADIENT_NOISE_WEIGHT,
    GRADIENT_STEPS,
    accelerated_total_variation,
)
from idmcli.ranges import Count, Positive, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class GradientOptions:
    """w = fidelity |J|^2 + noise_weight noise |J|, as of total variation for a linear operator."""

    iterations: Count = GRADIENT_STEPS  # gradient steps
    fidelity: Positive = GRADIENT_FIDELITY  # weight of the total variation without noise
    noise_weight: PositiveOrZero = GRADIENT_NOISE_WEIGHT  # how much the weight grows with the noise


def gradient(
    problem: Problem[Operator], prior: None, options: GradientOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin TV(x) + |A(x) - y|^2 / (2 w)``:
    :func:`~idmcli.operators.total_variation.accelerated_total_variation`."""
    return accelerated_total_variation(problem, **asdict(options), progress=progress)


SOLVER = Solver(
    "gradient",
    "total variation by accelerated gradients, for any operator (Chen, Lan & Ouyang, 2014)",
    gradient,
    needs=frozenset(),
    options=GradientOptions,
)
