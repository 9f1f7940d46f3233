"""Total variation by gradient steps on the measurements, for operators that need not be linear."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.differences import gradient as differences
from idmcli.numerics.differences import gradient_adjoint
from idmcli.operators import Operator, Problem
from idmcli.ranges import Count, Positive, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class GradientOptions:
    """w = fidelity |J|^2 + noise_weight noise |J|, as of total variation for a linear operator."""

    iterations: Count = 300  # gradient steps
    fidelity: Positive = 1e-3  # weight of the total variation without noise
    noise_weight: PositiveOrZero = 0.5  # how much the weight grows with the noise


@torch.no_grad()
def gradient(
    problem: Problem[Operator], prior: None, options: GradientOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin TV(x) + |A(x) - y|^2 / (2 w)`` by primal-dual steps (Condat, 2013, Algorithm 3.1).

    ``x' = x - t (J^T (A(x) - y) / w + D^T p)``, ``p' = p + s D (2 x' - x)``. J is the Jacobian at x, and each p is
    shortened to length 1. The first x is the operator's rough inverse. With ``L = |J|^2 / w`` there,
    t = 1 / L and s = 3 L / 64 keep ``1 / t - L / 2 >= 8 s``, with a margin of a quarter because J changes.
    """
    operator, y = problem.operator, problem.y
    power = operator.squared_norm(y)
    w = options.fidelity * power + options.noise_weight * problem.noise * math.sqrt(power)
    step = w / power
    dual_step = 3 / (64 * step)
    x = operator.rough_inverse(y)
    dual = torch.zeros_like(differences(x))
    for iteration in range(options.iterations):
        fidelity = operator.vjp(x, operator.A(x) - y) / w
        following = x - step * (fidelity + gradient_adjoint(dual))
        dual = dual + dual_step * differences(2 * following - x)
        dual = dual / dual.abs().square().sum(0).sqrt().clamp_min(1)
        x = following
        progress(iteration + 1, options.iterations)
    return x


SOLVER = Solver(
    "gradient",
    "total variation by gradient steps, for any operator (Condat, 2013)",
    gradient,
    needs=frozenset(),
    options=GradientOptions,
)
