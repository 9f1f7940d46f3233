"""Total variation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.differences import gradient, gradient_adjoint
from idmcli.operators import Problem
from idmcli.ranges import Count, Positive, PositiveOrZero
from idmcli.solvers import Progress, Solver
from idmcli.solvers.tikhonov import TikhonovOptions, tikhonov


@dataclass(frozen=True)
class TotalVariationOptions:
    """w = fidelity |A|^2 + noise_weight noise |A|: small without noise, and growing with it as seen in the image."""

    iterations: Count = 200
    primal_step: Positive = 0.05
    fidelity: Positive = 1e-3
    noise_weight: PositiveOrZero = 0.5


@torch.no_grad()
def total_variation(
    problem: Problem, prior: None, options: TotalVariationOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin TV(x) + |A x - y|^2 / (2 w)`` by primal-dual steps (Chambolle & Pock, 2011), from Tikhonov's image.

    TV is isotropic.
    """
    operator, y = problem.operator, problem.y
    power = operator.squared_norm(y)
    w = options.fidelity * power + options.noise_weight * problem.noise * math.sqrt(power)
    step, dual_step = options.primal_step, 1 / (8 * options.primal_step)
    x = tikhonov(problem, None, TikhonovOptions(), generator, lambda done, total: None)
    dual = torch.zeros_like(gradient(x))
    for iteration in range(options.iterations):
        following = operator.prox(x - step * gradient_adjoint(dual), y, step / w)
        dual = dual + dual_step * gradient(2 * following - x)
        dual = dual / dual.abs().square().sum(0).sqrt().clamp_min(1)
        x = following
        progress(iteration + 1, options.iterations)
    return x


SOLVER = Solver("tv", "total variation (Chambolle & Pock, 2011)", total_variation, options=TotalVariationOptions)
