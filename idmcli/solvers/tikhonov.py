"""Tikhonov regularisation by the Laplacian."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Generator, Tensor

from idmcli.numerics.conjugate_gradient import conjugate_gradient
from idmcli.numerics.differences import laplacian
from idmcli.operators import Problem
from idmcli.ranges import Count, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class TikhonovOptions:
    """w = weight g + noise_weight noise^2 with the gain g of A: differences of neighbours vary by about 1/20."""

    weight: PositiveOrZero = 0.005  # weight of the penalty without noise
    noise_weight: PositiveOrZero = 20.0  # how much the weight grows with the noise
    iterations: Count = 30  # iterations of conjugate gradients


def tikhonov(
    problem: Problem, prior: None, options: TikhonovOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin |A x - y|^2 + w |D x|^2``, whose regulariser is the Laplacian ``D^T D``."""
    operator, y = problem.operator, problem.y
    weight = options.weight * operator.gram(y).power_gain + options.noise_weight * problem.noise**2

    def system(x: Tensor) -> Tensor:
        return operator.normal(x) + weight * laplacian(x)

    start = operator.AT(y)
    return conjugate_gradient(system, start, max_iterations=options.iterations, progress=progress).x


SOLVER = Solver(
    "tikhonov", "smoothness: least squares with a penalty on differences", tikhonov, options=TikhonovOptions
)
