"""Half-quadratic splitting with a plug-and-play denoiser, DPIR (Zhang et al., IEEE TPAMI 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import falling_levels
from idmcli.operators import Operator, Problem
from idmcli.operators.total_variation import smooth_start
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Positive, Share
from idmcli.solvers import Progress, Solver

LEAST_NOISE = 0.001  # 0.255 / 255, of the measurements, as in the authors' code


@dataclass(frozen=True)
class HQSOptions:
    """Options of :func:`hqs`. The authors take 8 iterations from 49 / 255 with a weight of 0.23, and no momentum."""

    iterations: Count = 30  # iterations, each with one denoiser call
    sigma_start: Positive = 0.5  # noise level of the first iteration
    sigma_end: Positive = 0.004  # noise level of the last iteration
    weight: Positive = 0.3  # lambda: the weight of the prior against the data; it matters little without noise
    momentum: Share = 0.6  # m: the share of the last change that is added again
    start: Literal["operator", "tv"] = "operator"  # the first image: the operator's own, or the least total variation


@torch.no_grad()
def hqs(
    problem: Problem[Operator], prior: Prior, options: HQSOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Minimise ``|y - A x|^2 / (2 noise^2) + lambda phi(z) + mu |z - x|^2 / 2`` over z and x in turn.

    ``z = D(x + m (x - x'), sigma)``, where x' is the x before it (heavy ball, Polyak, 1964), and
    ``x = argmin |y - A x|^2 + rho |x - z|^2`` with rho = lambda noise^2 / sigma^2.

    The first x is the operator's own start: A+ y, or a regularised image if A+ amplifies noise. With start = "tv" it is
    the image of least total variation, which lacks the traces that A leaves in A+ y and that a prior may keep. Levels
    fall geometrically from sigma_start to sigma_end. In the paper they fall to the noise of the measurements. If A
    makes this noise smaller or larger, it says little about the noise in the image. With all operators, results were
    worse with it. The result is z or, without noise, the nearest image with A x = y. An A that is not linear is
    linearised at z in each iteration (:meth:`~idmcli.operators.Operator.prox`).
    """
    problem = problem.centred(prior.domain.mean)
    noise = max(problem.noise, LEAST_NOISE)
    start = max(options.sigma_start, options.sigma_end)
    levels = falling_levels(options.iterations, start, options.sigma_end)[:-1]
    z = x = previous = problem.start if options.start == "operator" else smooth_start(problem)
    for iteration, level in enumerate(levels, start=1):
        sigma = torch.full((len(x), 1, 1, 1), level, device=x.device)
        r = x + options.momentum * (x - previous)
        z = turned(prior, iteration)(r + problem.mean, sigma) - problem.mean
        rho = options.weight * noise**2 / level**2
        x, previous = problem.operator.prox(z, problem.y, 1 / rho), x
        progress(iteration, options.iterations)
    return problem.image(z if problem.noise > 0 else problem.fitted(z))


SOLVER = Solver(
    "hqs",
    "plug-and-play half-quadratic splitting with momentum (DPIR, Zhang et al., 2021)",
    hqs,
    needs=frozenset({"prior"}),
    options=HQSOptions,
    meets=frozenset({"measurements", "others", "range"}),
    quick={"iterations": 10},
)
