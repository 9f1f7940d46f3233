"""Pseudo-inverse guided diffusion (Song, Vahdat, Mardani & Kautz, ICLR 2023)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import ddim_noise, falling_levels, normal_like
from idmcli.operators import Problem
from idmcli.priors import Prior, denoise_with_vjp, turned
from idmcli.ranges import Count, Positive, Share
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class PiGDMOptions:
    """Options of :func:`pigdm`, with the authors' values."""

    steps: Count = 100  # denoiser calls, each with a gradient
    eta: Share = 1.0  # share of fresh noise
    power: Positive = 0.25  # assumed variance of image values: 0.25 here is 1 on the scale from -1 to 1
    adaptive: bool = True  # weigh the guidance by r_t^2 for any number of steps; false: as part of the score


@torch.no_grad()
def pigdm(problem: Problem, prior: Prior, options: PiGDMOptions, generator: Generator, progress: Progress) -> Tensor:
    """Sample x from y = A x + n: denoise, and follow the gradient of the likelihood back through the prior.

    Written with sigma = sqrt((1 - ab) / ab) and r = x_t / sqrt(ab). Given r, x is assumed to be Gaussian around
    ``x0 = D(r, sigma)``, with the variance ``r_t^2 = P sigma^2 / (P + sigma^2)`` of white images of power P. Then the
    gradient of log p(y | r) is

    ``g = (d x0 / d r)^T A^T (r_t^2 A A^T + noise^2 I)^-1 (y - A x0)`` (Eq. 7)

    A step is ``r' = x0 + c1 z + c2 e + r_t^2 g`` with DDIM's c1 and c2 (Algorithm 1, weighed as in the authors' code).
    With ``adaptive = false``, g enters the score: x0 becomes ``x0 + sigma^2 g`` and e becomes ``e - sigma g``. Many
    such steps sample the posterior of white Gaussian images exactly. Levels fall geometrically from 1.5.
    """
    problem = problem.centred(prior.domain.mean)
    levels = falling_levels(options.steps)
    start = problem.start
    r = start + levels[0] * normal_like(start, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        denoised, pull_back = denoise_with_vjp(turned(prior, step), r + problem.mean, sigma)
        x0 = denoised - problem.mean
        variance = options.power * level**2 / (options.power + level**2)
        guidance = pull_back(_towards_data(problem, x0, variance))
        fresh, kept = ddim_noise(level, following, options.eta)
        weight = 1.0 if options.adaptive else (level**2 - kept * level) / variance
        e = (r - x0) / level
        r = x0 + fresh * normal_like(r, generator) + kept * e + weight * guidance
        progress(step, options.steps)
    return problem.image(r)


def _towards_data(problem: Problem, x0: Tensor, variance: float) -> Tensor:
    """``v A^T (v A A^T + noise^2 I)^-1 (y - A x0)``: to the least of ``|x - x0|^2 / v + |A x - y|^2 / noise^2``."""
    if problem.noise == 0:
        return problem.project(x0) - x0
    return problem.operator.prox(x0, problem.y, variance / problem.noise**2) - x0


SOLVER = Solver(
    "pigdm",
    "diffusion sampling guided by the pseudo-inverse through the prior (Song et al., 2023)",
    pigdm,
    needs=frozenset({"prior", "gradient", "linear"}),
    options=PiGDMOptions,
    samples=True,
)
