"""Decoupled annealing posterior sampling (Zhang, Chu, Berner, Meng, Anandkumar & Song, CVPR 2025)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import count

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import SIGMA_END, falling_levels, normal_like
from idmcli.operators import Operator, Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Positive, Share
from idmcli.solvers import Progress, Solver

LEAST_NOISE = 0.005  # of the measurements, tau = 0.01 of the authors on the scale from -1 to 1


@dataclass(frozen=True)
class DAPSOptions:
    """Options of :func:`daps`, with the authors' values."""

    steps: Count = 200  # noise levels
    ode_steps: Count = 5  # denoiser calls at each level
    langevin_steps: Count = 100  # Langevin steps at each level, each with a gradient of A
    rate: Positive = 1.0  # step of Langevin's dynamics; 1 follows the curvature
    last_rate: Share = 0.01  # share of this step at the last level


@torch.no_grad()
def daps(
    problem: Problem[Operator], prior: Prior, options: DAPSOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x from y = A(x) + n: estimate x from a noisy copy, draw x given the estimate and y, and add less noise.

    At each level sigma (Algorithm 1):

    - x0 solves the probability flow ``dr / dsigma = (r - D(r, sigma)) / sigma`` from r down to 0;
    - Langevin steps ``x' = x - eta ((x - x0) / sigma^2 + A^T (A(x) - y) / noise^2) + sqrt(2 eta) z`` from x0 draw from
      p(x | r, y), with x given r assumed to be Gaussian around x0;
    - ``r' = x + sigma' z``.

    The authors' eta is ``noise^2 / |A|^2``; here ``1 / eta = 1 / sigma^2 + |A|^2 / noise^2``, which is stable at every
    level. Both fall linearly. Levels fall geometrically from 1.5. The start is the operator's first guess.
    """
    operator, y = problem.operator, problem.y
    noise = max(problem.noise, LEAST_NOISE)
    data = operator.squared_norm(y) / noise**2
    levels = falling_levels(options.steps)
    x = problem.first_guess(prior.domain.mean)
    call = count()
    for step, level in enumerate(levels[:-1]):
        x0 = r = x + level * normal_like(x, generator)
        flow = falling_levels(options.ode_steps, level, SIGMA_END)
        for now, then in zip(flow, flow[1:], strict=False):
            sigma = torch.full((len(r), 1, 1, 1), now, device=r.device)
            x0 = turned(prior, next(call))(r, sigma)
            r = x0 + then / now * (r - x0)
        share = 1 - step / options.steps * (1 - options.last_rate)
        eta = options.rate * share / (1 / level**2 + data)
        x = x0
        for _ in range(options.langevin_steps):
            _, misfit = operator.misfit(x, y)
            gradient = (x - x0) / level**2 + misfit / noise**2
            x = x - eta * gradient + math.sqrt(2 * eta) * normal_like(x, generator)
        progress(step + 1, options.steps)
    return x


SOLVER = Solver(
    "daps",
    "decoupled annealing with Langevin steps, for any operator (Zhang et al., 2025)",
    daps,
    needs=frozenset({"prior"}),
    options=DAPSOptions,
    samples=True,
)
