"""Posterior sampling with latent diffusion (Rout, Raoof, Daras, Caramanis, Dimakis & Shakkottai, NeurIPS 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import normal_like
from idmcli.operators import Problem
from idmcli.priors import LatentPrior
from idmcli.ranges import Count, PositiveOrZero
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class PSLDOptions:
    """Options of :func:`psld`, with the authors' values for Stable Diffusion; their LDM of faces has 0.9 and 0.1."""

    steps: Count = 1000  # denoiser calls, each with a gradient through it, the decoder and the encoder
    omega: PositiveOrZero = 1.0  # length of a step along the gradient of the misfit
    gamma: PositiveOrZero = 0.1  # the same, along the gradient of the distance to latents that the autoencoder keeps


@torch.no_grad()
def psld(
    problem: Problem, prior: LatentPrior, options: PSLDOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x = D(z) from y = A x + n: a DDIM step, then a step along two gradients through denoiser and autoencoder.

    With ``z0`` denoised from r, ``x = D(z0)`` and ``e = (r - z0) / sigma`` a step is ``r' = z0 + sigma' e - l d/dr f``,

    ``f = omega |y - A x| + gamma |z0 - E(A^T y + (I - A^T A) x)|`` (Algorithm 2, norms as in the authors' code).

    A is divided by its norm, and misfits are computed on the authors' scale from -1 to 1. The authors' steps are for
    z_t. Here they have the length ``l = sqrt((1 + sigma^2) (1 + sigma'^2))``.
    """
    operator, y = problem.operator, problem.y
    power = operator.squared_norm(y)
    size = operator.image_shape[1:]
    levels = prior.levels(options.steps)
    r = levels[0] * normal_like(prior.encode(y.real.new_zeros(len(y), *operator.image_shape)), generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, dtype=r.dtype, device=r.device)
        with torch.enable_grad():
            r = r.detach().requires_grad_()
            z0 = prior(r, sigma)
            x = prior.decode(z0, size)
            residual = y - operator.A(x)
            glued = prior.encode(x + operator.AT(residual) / power)
            misfit = 2 / math.sqrt(power) * _norms(residual)
            (gradient,) = torch.autograd.grad((options.omega * misfit + options.gamma * _norms(z0 - glued)).sum(), r)
        length = math.sqrt((1 + level**2) * (1 + following**2))
        r, z0 = r.detach(), z0.detach()
        r = z0 + following / level * (r - z0) - length * gradient
        progress(step, options.steps)
    return prior.decode(r, size)


def _norms(batch: Tensor) -> Tensor:
    """``|u|`` of each part of a batch, with a gradient at 0."""
    squares = batch.abs().square().flatten(1).sum(1)
    return squares.clamp_min(torch.finfo(squares.dtype).tiny).sqrt()


SOLVER = Solver(
    "psld",
    "posterior sampling in the latents of an autoencoder (Rout et al., 2023)",
    psld,
    needs=frozenset({"latent", "gradient", "linear"}),
    options=PSLDOptions,
    samples=True,
    meets=frozenset({"range"}),
)
