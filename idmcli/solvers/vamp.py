"""Denoising vector approximate message passing for structurally random operators.

Schniter, Rangan & Fletcher, "Denoising based vector approximate message passing", 2016; with the denoiser of a
diffusion model it is the score-based turbo message passing of arXiv 2503.22140.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Generator, Tensor

from idmcli.numerics.divergence import divergence, onsager, stein_divergence
from idmcli.operators import Problem
from idmcli.priors import Prior, averaged, turned
from idmcli.ranges import Count, Ratio
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class VampOptions:
    """Options of :func:`vamp`."""

    iterations: Count = 15  # iterations, each with one denoiser call, or two (see below)
    damping: Ratio = 0.8  # share of the new estimate in the next one
    final_turns: bool = False  # whether the last denoiser call is the mean over all eight turns of the image


@torch.no_grad()
def vamp(problem: Problem, prior: Prior, options: VampOptions, generator: Generator, progress: Progress) -> Tensor:
    """Reconstruct x from y = A x, where ``A A^T = I`` and A is random.

    With the estimate x^, ``P = |y - A x^|^2 / M`` and the ratio gamma = M / N, the image
    ``r = x^ + A^T (y - A x^) / gamma`` is x plus white Gaussian noise of variance ``(1 / gamma - 1) P + noise^2``. The
    denoiser was trained on such images. Its output d still depends on the noise of r. The Onsager correction
    ``x^ = d - c (r - d)``, c = div / (1 - div), removes this dependence. The next estimate is a damped mean of such x^.

    div is the divergence of the denoiser per pixel. It follows from Stein's identity if the prior has the least squared
    error. Otherwise a probe estimates it, which takes another denoiser call: at noise levels beyond the training of
    the prior, and for colours, whose channels have different errors. Every iteration sees the image under another flip
    or quarter turn.
    """
    problem = problem.centred(prior.domain.mean)
    gamma = problem.operator.ratio

    def denoise(r: Tensor, sigma: Tensor, *, step: int) -> Tensor:
        return turned(prior, step)(r + problem.mean, sigma) - problem.mean

    d = x = torch.zeros_like(problem.pinv)
    for iteration in range(options.iterations):
        sigma = ((1 / gamma - 1) * problem.residual_power(x) + problem.noise**2).sqrt()
        r = problem.project(x, 1 / gamma)
        view, last = partial(denoise, step=iteration), iteration + 1 == options.iterations
        if last and options.final_turns:
            d = averaged(prior)(r + problem.mean, sigma) - problem.mean
        else:
            d = view(r, sigma)
        progress(iteration + 1, options.iterations)
        if last:
            break
        div, untrained = stein_divergence(r, sigma, d), (sigma > prior.noise_levels[1]) | (prior.domain.channels > 1)
        if bool(untrained.any()):
            div = torch.where(untrained, divergence(view, r, sigma, d, seed=iteration), div)
        corrected = d - onsager(div) * (r - d)
        x = torch.lerp(x, corrected, options.damping if iteration else 1.0)
    trust = (1 - problem.noise**2 / problem.residual_power(d).clamp_min(1e-12)).clamp_min(0)
    return problem.image(problem.project(d, trust))


SOLVER = Solver(
    "vamp",
    "message passing with the prior (Schniter et al., 2016), or stmp, its name in arXiv 2503.22140",
    vamp,
    needs=frozenset({"prior", "linear", "tight", "mixing"}),
    options=VampOptions,
)
