"""The image of least total variation."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import cast

import torch
from torch import Tensor

from idmcli.numerics.differences import gradient, gradient_adjoint
from idmcli.numerics.power_iteration import largest_eigenvalue
from idmcli.operators.base import Operator
from idmcli.operators.linear import LinearOperator
from idmcli.operators.problem import Problem

ITERATIONS, TOLERANCE, PRIMAL_STEP, FIDELITY, NOISE_WEIGHT = 300, 1e-4, 0.01, 1e-5, 0.5
GRADIENT_STEPS, GRADIENT_FIDELITY, GRADIENT_NOISE_WEIGHT = 300, 3e-5, 0.18  # of operators that need not be linear
FIRST_FIDELITY = 1e-3  # at least, in the first half: total variation fills what was not measured in few steps then
DUAL_STEP = 10 / math.sqrt(8)  # |D|^2 <= 8; a dual solution is about ten times as long as the way to the image
MARGIN = 1.25  # for a Jacobian that is larger elsewhere


def smooth_start(problem: Problem[Operator]) -> Tensor:
    """The image of least total variation that fits a problem, linear or not, (B, C, H, W)."""
    if isinstance(problem.operator, LinearOperator):
        return least_total_variation(cast(Problem, problem))
    return accelerated_total_variation(problem)


@torch.no_grad()
def least_total_variation(
    problem: Problem,
    *,
    iterations: int = ITERATIONS,
    tolerance: float = TOLERANCE,
    primal_step: float = PRIMAL_STEP,
    fidelity: float = FIDELITY,
    noise_weight: float = NOISE_WEIGHT,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """``argmin TV(x) + |A x - y|^2 / (2 w)`` by primal-dual steps (Chambolle & Pock, 2011). TV is isotropic.

    The dual steps of the measurements are preconditioned by ``A A^T`` (Pock & Chambolle, 2011) as far as
    :meth:`~idmcli.operators.LinearOperator.gram` knows it: with ``G ~ A A^T``, ``S = s G^-1`` and the dual q,

        p' = P(p + r D z),   q' = (1 + w S)^-1 (q + S (A z - y)),
        x' = x - t (D^T p' + A^T q'),   z' = 2 x' - x,

    where P scales gradients down to length 1, and ``t (8 r + s |A^T G^-1 A|) = 1`` is shared equally.

    Args:
        problem: y = A x + n.
        iterations: most iterations.
        tolerance: stop when an iteration changes every image by less, relative to its norm.
        primal_step: t, the step of the image.
        fidelity: weight w of the total variation without noise, in units of the gain of A.
        noise_weight: how much w grows with the noise.
        progress: told the iterations done, and their number.

    Returns:
        (B, C, H, W).
    """
    operator, y, t = problem.operator, problem.y, primal_step
    gram = operator.gram(y)
    w = fidelity * gram.power_gain + noise_weight * problem.noise * math.sqrt(gram.power_gain)
    x = operator.AT(gram.scaled(1 / gram.values, y))
    norm = largest_eigenvalue(lambda x: operator.AT(gram.scaled(1 / gram.values, operator.A(x))), x[:1])
    r, s = 1 / (16 * t), 1 / (2 * t * norm) / gram.values
    z, p, q = x, torch.zeros_like(gradient(x)), torch.zeros_like(y)
    for iteration in range(iterations):
        p = p + r * gradient(z)
        p = p / p.abs().square().sum(0).sqrt().clamp_min(1)
        q = gram.scaled(1 / (1 + w * s), q + gram.scaled(s, operator.A(z) - y))
        step = t * (gradient_adjoint(p) + operator.AT(q))
        x, z = x - step, x - 2 * step
        progress(iteration + 1, iterations)
        if bool((step.flatten(1).norm(dim=1) <= tolerance * x.flatten(1).norm(dim=1)).all()):
            break
    return x


@torch.no_grad()
def accelerated_total_variation(
    problem: Problem[Operator],
    *,
    iterations: int = GRADIENT_STEPS,
    fidelity: float = GRADIENT_FIDELITY,
    noise_weight: float = GRADIENT_NOISE_WEIGHT,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Tensor:
    """``argmin TV(x) + |A(x) - y|^2 / (2 w)`` by gradients of A, accelerated (Chen, Lan & Ouyang, 2014, Algorithm 2).

    With the Jacobian J at m and the average u of the images x so far, step k = 1, 2, ... is

        m = (1 - b) u + b x,             b = 2 / (k + 1),
        p' = P(p + s D z),
        x' = x - t (J^T (A(m) - y) / w + D^T p'),   t = k / (2 L + 8 s k),
        u' = (1 - b) u + b x',           z' = x' + k / (k + 1) (x' - x),

    where P scales gradients down to length 1, and ``L = |J|^2 / w``. The error of the measurements falls with the
    square of k, for an A that is linear. The first half of the iterations has a fidelity of FIRST_FIDELITY at least.
    The second half starts from its u.

    Args:
        problem: y = A(x) + n.
        iterations: their number.
        fidelity: weight w of the total variation without noise, in units of ``|J|^2``.
        noise_weight: how much w grows with the noise, in units of ``|J|``.
        progress: told the iterations done, and their number.

    Returns:
        (B, C, H, W).
    """
    operator, y, s = problem.operator, problem.y, DUAL_STEP
    power = operator.squared_norm(y)
    u = operator.rough_inverse(y)
    p = torch.zeros_like(gradient(u))
    half = iterations // 2
    for steps, done, least in ((half, 0, FIRST_FIDELITY), (iterations - half, half, 0.0)):
        w = max(fidelity, least) * power + noise_weight * problem.noise * math.sqrt(power)
        x = z = u
        for k in range(1, steps + 1):
            b, t = 2 / (k + 1), k / (2 * MARGIN * power / w + 8 * s * k)
            m = torch.lerp(u, x, b)
            p = p + s * gradient(z)
            p = p / p.abs().square().sum(0).sqrt().clamp_min(1)
            _, misfit = operator.misfit(m, y)
            step = t * (misfit / w + gradient_adjoint(p))
            x, z = x - step, x - (2 * k + 1) / (k + 1) * step
            u = torch.lerp(u, x, b)
            progress(done + k, iterations)
    return u
