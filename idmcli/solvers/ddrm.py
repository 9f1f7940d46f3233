"""Denoising diffusion restoration model (Kawar, Elad, Ermon & Song, NeurIPS 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Problem
from idmcli.priors import Prior
from idmcli.ranges import Count, Share
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class DDRMOptions:
    """Of :func:`ddrm`, with the authors' values."""

    steps: Count = 20  # denoiser calls
    eta: Share = 0.85  # share of fresh noise where nothing was measured
    eta_b: Share = 1.0  # share of the measurements where they are less noisy than the state


@torch.no_grad()
def ddrm(problem: Problem, prior: Prior, options: DDRMOptions, generator: Generator, progress: Progress) -> Tensor:
    """Sample x from y = A x + n in the coordinates ``V^T x`` of ``A = U S V^T``, one by one.

    With ybar = U^T y / s, the noise n_s = noise / s of a coordinate and r = x + sigma n, a step to sigma' takes

    - where s = 0: ``x0 + sqrt(1 - eta^2) sigma' e + eta sigma' z``;
    - where sigma' >= n_s: ``(1 - eta_b) x0 + eta_b ybar + sqrt(sigma'^2 - eta_b^2 n_s^2) z``;
    - elsewhere: ``x0 + sqrt(1 - eta^2) sigma' (ybar - x0) / n_s + eta sigma' z`` (Eqs. 7 and 8).

    Levels fall geometrically from 1.5.
    """
    problem, eta, eta_b = problem.centred(prior.domain.mean), options.eta, options.eta_b
    spectrum = problem.operator.spectrum()
    assert spectrum is not None, "the registry says that this method needs one"
    values = spectrum.values.to(problem.y)
    ybar, n_s = spectrum.to_range(problem.y) / values, problem.noise / values
    known = ybar.shape[2]
    levels = falling_levels(options.steps)

    def coordinates(x: Tensor) -> tuple[Tensor, Tensor]:
        c = spectrum.to_basis(x)
        return c[..., :known], c[..., known:]

    z, z_null = coordinates(levels[0] * normal_like(problem.pinv, generator))
    z = z * (1 - (n_s / levels[0]) ** 2).clamp_min(0).sqrt()
    r = spectrum.from_basis(torch.cat([ybar + z, z_null], 2))
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = prior(r + problem.mean, sigma) - problem.mean
        (c0, null0), (_, e_null) = coordinates(x0), coordinates((r - x0) / sigma)
        z, z_null = coordinates(normal_like(r, generator))
        spread = (following**2 - (eta_b * n_s) ** 2).clamp_min(0).sqrt()
        clear = (1 - eta_b) * c0 + eta_b * ybar + spread * z
        pull = math.sqrt(1 - eta**2) * following * (ybar - c0) / n_s.clamp_min(1e-12)
        noisy = c0 + pull + eta * following * z
        null = null0 + following * (math.sqrt(1 - eta**2) * e_null + eta * z_null)
        r = spectrum.from_basis(torch.cat([torch.where(following >= n_s, clear, noisy), null], 2))
        progress(step, options.steps)
    return problem.image(r)


SOLVER = Solver(
    "ddrm",
    "diffusion sampling along the singular vectors of A (Kawar et al., 2022)",
    ddrm,
    needs=frozenset({"prior", "linear", "spectrum"}),
    options=DDRMOptions,
    samples=True,
)
