"""SR3: image super-resolution via repeated refinement (Saharia et al., IEEE TPAMI 2023), for any measurements."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.models import ConditionalDenoiser
from idmcli.models.turns import TURNS
from idmcli.numerics.noise import ddim_noise, falling_levels, normal_like
from idmcli.operators import Operator, Problem
from idmcli.ranges import Count, Share
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class SR3Options:
    """Options of :func:`sr3`. The authors take 100 steps for large images, and up to 2000."""

    steps: Count = 100  # network calls
    eta: Share = 1.0  # share of fresh noise: 1 as in the paper, 0 for none after the start


@torch.no_grad()
def sr3(
    problem: Problem[Operator],
    network: ConditionalDenoiser,
    options: SR3Options,
    generator: Generator,
    progress: Progress,
) -> Tensor:
    """Sample x from noise, given an image c of the measurements, by a noise estimator f that was trained to see c.

    Written with gamma = 1 / (1 + sigma^2) and r = y_t / sqrt(gamma): ``x0 = r - sigma f(c, r)``, clipped to [0, 1], and
    ``r' = x0 + c1 z + c2 e`` with e = (r - x0) / sigma and DDIM's c1 and c2, which for eta = 1 is the ancestral step
    (Algorithm 2, with the variance of the posterior q). The image c is
    :meth:`~idmcli.operators.Problem.first_guess`: A+ y, if A is linear. Only the training makes x agree with y.
    Levels fall geometrically from 1.5.
    """
    mean = network.mean
    condition = problem.first_guess(mean) - mean
    levels = falling_levels(options.steps)
    r = levels[0] * normal_like(condition, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = network(r, sigma, condition, step % TURNS)[0].clamp(-mean, 1 - mean)
        fresh, kept = ddim_noise(level, following, options.eta)
        e = (r - x0) / level
        r = x0 + fresh * normal_like(r, generator) + kept * e
        progress(step, options.steps)
    return r + mean


SOLVER = Solver(
    "sr3",
    "diffusion sampling by a network that sees A+ y (SR3, Saharia et al., 2023)",
    sr3,
    needs=frozenset({"sr3", "real"}),
    options=SR3Options,
    samples=True,
    meets=frozenset({"range"}),
)
