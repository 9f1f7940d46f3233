"""RED-diff: regularisation by a denoising diffusion process (Mardani, Song, Kautz & Vahdat, ICLR 2024)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.adam import Adam
from idmcli.numerics.noise import SIGMA_END, SIGMA_START, falling_levels, normal_like
from idmcli.operators import Operator, Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Positive
from idmcli.solvers import Progress, Solver

BETAS = 0.9, 0.99  # of Adam


@dataclass(frozen=True)
class RedDiffOptions:
    """Options of :func:`reddiff`, with the paper's weight and rate, and the steps of the authors' scripts."""

    steps: Count = 100  # denoiser calls
    weight: Positive = 0.25  # lambda: the weight of the prior against the data
    rate: Positive = 0.05  # learning rate of Adam: 0.1 on the scale from -1 to 1
    sigma_start: Positive = SIGMA_START  # noise level of the first step


@torch.no_grad()
def reddiff(
    problem: Problem[Operator], prior: Prior, options: RedDiffOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Find by Adam an image mu that fits y = A(x) + n, and whose noisy copies the prior denoises to mu again.

    With ``r = mu + sigma z`` and the estimate e of z, the gradient is
    ``A^T (A(mu) - y) / M + lambda sigma (e - z) / N`` for an image of N values and M measurements (Algorithm 1, with
    the weights of the authors' code). ``sigma (e - z) = mu - D(r, sigma)`` is regularisation by denoising. A is divided
    by its norm. The noise z is the same in every run, because mu is an estimate and no sample. Levels fall
    geometrically from sigma_start to 0.005.
    """
    operator, y = problem.operator, problem.y
    data = 1 / (operator.squared_norm(y) * operator.ratio)
    noise = Generator().manual_seed(0)
    levels = falling_levels(options.steps, max(options.sigma_start, SIGMA_END))[:-1]
    mu = problem.first_guess(prior.domain.mean).clone()  # which Adam writes to
    adam = Adam(mu, options.rate, BETAS)
    for step, level in enumerate(levels, start=1):
        sigma = torch.full((len(mu), 1, 1, 1), level, device=mu.device)
        x0 = turned(prior, step)(mu + level * normal_like(mu, noise), sigma)
        _, gradient = operator.misfit(mu, y)
        adam.step(data * gradient + options.weight * (mu - x0))
        progress(step, options.steps)
    return mu


SOLVER = Solver(
    "reddiff",
    "regularisation by a denoising diffusion process, for any operator (RED-diff, Mardani et al., 2024)",
    reddiff,
    needs=frozenset({"prior"}),
    options=RedDiffOptions,
)
