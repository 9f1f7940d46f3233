"""Diffusion posterior sampling (Chung, Kim, McCann, Klasky & Ye, ICLR 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import ddim_noise, falling_levels, normal_like
from idmcli.operators import Operator, Problem
from idmcli.priors import Prior, denoise_with_vjp, turned
from idmcli.ranges import Count, Positive
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class DPSOptions:
    """Options of :func:`dps`, with the paper's values; the authors' code has zeta 0.3 for blur, 0.5 for inpainting."""

    steps: Count = 1000  # denoiser calls, each with a gradient
    zeta: Positive = 1.0  # length of a step along the gradient


@torch.no_grad()
def dps(
    problem: Problem[Operator], prior: Prior, options: DPSOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x from y = A(x) + n: an ancestral step, then a step along the gradient of the misfit through the prior.

    ``r' = x0 + c1 z + c2 e - zeta' d/dr |y - A(x0)| / |A|`` with ``x0 = D(r, sigma)`` and DDIM's c1 and c2 for eta = 1
    (Algorithm 1, with the norm as in the authors' code, not its square). The authors' zeta is for the variable
    ``x_t = 2 r / sqrt(1 + 4 sigma^2)``. Here it becomes ``zeta' = zeta / 2 sqrt((1 + 4 sigma^2) (1 + 4 sigma'^2))``.
    Unlike in the authors' code, the variance of z is not learned and x0 is not clipped. Levels fall geometrically from
    1.5. The start is the operator's first guess.
    """
    operator, y = problem.operator, problem.y
    norm = math.sqrt(operator.squared_norm(y))
    levels = falling_levels(options.steps)
    start = problem.first_guess(prior.domain.mean)
    r = start + levels[0] * normal_like(start, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0, pull_back = denoise_with_vjp(turned(prior, step), r, sigma)
        guidance = -pull_back(_misfit_gradient(operator, x0, y)) / norm
        length = options.zeta / 2 * math.sqrt((1 + 4 * level**2) * (1 + 4 * following**2))
        fresh, kept = ddim_noise(level, following, 1.0)
        e = (r - x0) / level
        r = x0 + fresh * normal_like(r, generator) + kept * e + length * guidance
        progress(step, options.steps)
    return r


def _misfit_gradient(operator: Operator, x: Tensor, y: Tensor) -> Tensor:
    """``d/dx |y - A(x)|`` of each image."""
    residual, gradient = operator.misfit(x, y)
    norms: Tensor = residual.flatten(1).norm(dim=1).clamp_min(torch.finfo(x.real.dtype).tiny)
    return gradient / norms.view(-1, 1, 1, 1)


SOLVER = Solver(
    "dps",
    "diffusion posterior sampling, for any operator (Chung et al., 2023)",
    dps,
    needs=frozenset({"prior", "gradient"}),
    options=DPSOptions,
    samples=True,
)
