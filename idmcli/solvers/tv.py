"""Total variation."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.differences import gradient, gradient_adjoint
from idmcli.numerics.power_iteration import largest_eigenvalue
from idmcli.operators import Problem
from idmcli.ranges import Count, Positive, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class TotalVariationOptions:
    """w = fidelity g + noise_weight noise sqrt(g) with the gain g of A: small without noise, and growing with it as
    seen in the image.
    """

    iterations: Count = 300  # most iterations
    tolerance: PositiveOrZero = 1e-4  # stop when an iteration changes every image by less, relative to its norm
    primal_step: Positive = 0.01  # t, the step of the image
    fidelity: PositiveOrZero = 1e-5  # weight w of the total variation without noise
    noise_weight: PositiveOrZero = 0.5  # how much w grows with the noise


@torch.no_grad()
def total_variation(
    problem: Problem, prior: None, options: TotalVariationOptions, generator: Generator, progress: Progress
) -> Tensor:
    """``argmin TV(x) + |A x - y|^2 / (2 w)`` by primal-dual steps (Chambolle & Pock, 2011). TV is isotropic.

    The dual steps of the measurements are preconditioned by ``A A^T`` (Pock & Chambolle, 2011) as far as
    :meth:`~idmcli.operators.LinearOperator.gram` knows it: with ``G ~ A A^T``, ``S = s G^-1`` and the dual q,

        p' = P(p + r D z),   q' = (1 + w S)^-1 (q + S (A z - y)),
        x' = x - t (D^T p' + A^T q'),   z' = 2 x' - x,

    where P scales gradients down to length 1, and ``t (8 r + s |A^T G^-1 A|) = 1`` is shared equally.
    """
    operator, y, t = problem.operator, problem.y, options.primal_step
    gram = operator.gram(y)
    w = options.fidelity * gram.power_gain + options.noise_weight * problem.noise * math.sqrt(gram.power_gain)
    x = operator.AT(gram.scaled(1 / gram.values, y))
    norm = largest_eigenvalue(lambda x: operator.AT(gram.scaled(1 / gram.values, operator.A(x))), x[:1])
    r, s = 1 / (16 * t), 1 / (2 * t * norm) / gram.values
    z, p, q = x, torch.zeros_like(gradient(x)), torch.zeros_like(y)
    for iteration in range(options.iterations):
        p = p + r * gradient(z)
        p = p / p.abs().square().sum(0).sqrt().clamp_min(1)
        q = gram.scaled(1 / (1 + w * s), q + gram.scaled(s, operator.A(z) - y))
        step = t * (gradient_adjoint(p) + operator.AT(q))
        x, z = x - step, x - 2 * step
        progress(iteration + 1, options.iterations)
        if bool((step.flatten(1).norm(dim=1) <= options.tolerance * x.flatten(1).norm(dim=1)).all()):
            break
    return x


SOLVER = Solver("tv", "total variation (Chambolle & Pock, 2011)", total_variation, options=TotalVariationOptions)
