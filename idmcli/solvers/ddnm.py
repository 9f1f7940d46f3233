"""Denoising diffusion null-space model (Wang, Yu & Zhang, ICLR 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Share
from idmcli.solvers import Progress, Solver
from idmcli.solvers.ddrm import Coordinates


@dataclass(frozen=True)
class DdnmOptions:
    """Options of :func:`ddnm`, with the authors' values."""

    steps: Count = 100  # denoiser calls
    eta: Share = 0.85  # share of fresh noise


@torch.no_grad()
def ddnm(problem: Problem, prior: Prior, options: DdnmOptions, generator: Generator, progress: Progress) -> Tensor:
    """Sample x from y = A x + n: denoise, project on the measurements, add fresh noise.

    Written with the noise-to-signal level sigma = sqrt((1 - ab) / ab) and r = x_t / sqrt(ab):
    ``x0 = r - sigma e``, ``xb = x0 - lambda A+ (A x0 - y)``, ``r' = xb + s (eta z + sqrt(1 - eta^2) e)``.
    For noisy measurements lambda = min(1, sigma' / noise) and s^2 = sigma'^2 - (lambda noise)^2 (the
    simplified DDNM+); otherwise lambda = 1 and s = sigma'. Levels fall geometrically from 1.5.

    A+ amplifies noise along small singular values. If the singular values differ and are known, the full DDNM+ gives
    each of them its own lambda and s, see :meth:`idmcli.solvers.ddrm.Coordinates.step`.
    """
    problem, eta = problem.centred(prior.domain.mean), options.eta
    uneven = problem.noise > 0 and not problem.operator.tight and problem.operator.spectrum() is not None
    coordinates = Coordinates.of(problem) if uneven else None
    levels = falling_levels(options.steps)
    start = problem.start
    r = start + levels[0] * normal_like(start, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = turned(prior, step)(r + problem.mean, sigma) - problem.mean
        z = normal_like(r, generator)
        if coordinates is not None:
            r = coordinates.join(*coordinates.step(x0, coordinates.split(r)[1], z, (level, following), eta))
        else:
            r = _step(problem, x0, (r - x0) / sigma, z, following, eta)
        progress(step, options.steps)
    return problem.image(r)


def _step(problem: Problem, x0: Tensor, e: Tensor, z: Tensor, following: float, eta: float) -> Tensor:
    """For one lambda and s."""
    trust = min(1.0, following / problem.noise) if problem.noise > 0 else 1.0
    spread = math.sqrt(max(0.0, following**2 - (trust * problem.noise) ** 2))
    return problem.project(x0, trust) + spread * (eta * z + math.sqrt(1 - eta**2) * e)


SOLVER = Solver(
    "ddnm",
    "null-space diffusion sampling with the prior (Wang, Yu & Zhang, 2023)",
    ddnm,
    needs=frozenset({"prior", "linear"}),
    options=DdnmOptions,
    samples=True,
)
