"""DiffPIR: plug-and-play image restoration by diffusion sampling (Zhu et al., CVPR workshops 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Positive, Share
from idmcli.solvers import Progress, Solver

LEAST_NOISE = 0.001  # of the measurements, as in the authors' code: without noise the data would decide alone


@dataclass(frozen=True)
class DiffPIROptions:
    """Options of :func:`diffpir`, with the authors' values."""

    steps: Count = 100  # denoiser calls
    weight: Positive = 1.0  # lambda: the weight of the prior against the data
    zeta: Share = 0.3  # share of fresh noise


@torch.no_grad()
def diffpir(
    problem: Problem, prior: Prior, options: DiffPIROptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x from y = A x + n: denoise, solve for the data near the result, add noise.

    Written with sigma = sqrt((1 - ab) / ab) and r = x_t / sqrt(ab):
    ``x0 = D(r, sigma)``, ``xh = argmin |y - A x|^2 + rho |x - x0|^2`` with rho = lambda noise^2 / sigma^2,
    ``e = (r - xh) / sigma``, ``r' = xh + sigma' (sqrt(1 - zeta) e + sqrt(zeta) z)``.
    Levels fall geometrically from 1.5.
    """
    problem, zeta = problem.centred(prior.domain.mean), options.zeta
    noise = max(problem.noise, LEAST_NOISE)
    levels = falling_levels(options.steps)
    start = problem.start
    r = start + levels[0] * normal_like(start, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = turned(prior, step)(r + problem.mean, sigma) - problem.mean
        rho = options.weight * noise**2 / level**2
        xh = problem.operator.prox(x0, problem.y, 1 / rho)
        e = (r - xh) / sigma
        r = xh + following * (math.sqrt(1 - zeta) * e + math.sqrt(zeta) * normal_like(r, generator))
        progress(step, options.steps)
    return problem.image(r)


SOLVER = Solver(
    "diffpir",
    "plug-and-play restoration by diffusion sampling (Zhu et al., 2023)",
    diffpir,
    needs=frozenset({"prior", "linear"}),
    options=DiffPIROptions,
    samples=True,
)
