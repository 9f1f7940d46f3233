"""Denoising vector approximate message passing for structurally random operators.

Schniter, Rangan & Fletcher, "Denoising based vector approximate message passing", 2016; with the denoiser of a
diffusion model it is the score-based turbo message passing of arXiv 2503.22140.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from idmcli.numerics.divergence import divergence, onsager, stein_divergence
from idmcli.operators import Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, PositiveOrZero, Ratio
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class VampOptions:
    """Of :func:`vamp`."""

    iterations: Count = 20  # of one denoiser call, or two where the divergence is measured by a probe
    damping: Ratio = 0.7  # share of the new estimate in the next one
    probe_above: PositiveOrZero = 0.1  # noise level below which the divergence follows from Stein's lemma


@torch.no_grad()
def vamp(problem: Problem, prior: Prior, options: VampOptions, generator: Generator, progress: Progress) -> Tensor:
    """Reconstruct x from y = A x, where ``A A^T = I`` and A is random.

    With the estimate x^ and P = |y - A x^|^2 / M, the image ``r = x^ + A^T (y - A x^) / gamma`` is x
    plus white Gaussian noise of variance ``(1 / gamma - 1) P + noise^2``: what the denoiser was
    trained on. Its output d loses its memory of r through ``x^ = d - c (r - d)``, c = div / (1 - div),
    of which the next estimate is a damped mean. Every iteration sees the image under another flip or quarter turn.
    """
    problem = problem.centred(prior.domain.mean)
    gamma = problem.operator.ratio

    d = x = torch.zeros_like(problem.pinv)
    for iteration in range(options.iterations):
        sigma = ((1 / gamma - 1) * problem.residual_power(x) + problem.noise**2).sqrt()
        r = problem.project(x, 1 / gamma)
        view = turned(prior, iteration)

        def denoise(r: Tensor, sigma: Tensor, view: Prior = view) -> Tensor:
            return view(r + problem.mean, sigma) - problem.mean

        d = denoise(r, sigma)
        if iteration + 1 < options.iterations:
            div, noisy = stein_divergence(r, sigma, d), sigma > options.probe_above
            if bool(noisy.any()):
                div = torch.where(noisy, divergence(denoise, r, sigma, d, seed=iteration), div)
            new = d - onsager(div) * (r - d)
            x = torch.lerp(x, new, options.damping if iteration else 1.0)
        progress(iteration + 1, options.iterations)
    trust = (1 - problem.noise**2 / problem.residual_power(d).clamp_min(1e-12)).clamp_min(0)
    return problem.image(problem.project(d, trust))


SOLVER = Solver(
    "vamp",
    "message passing with the prior, also known as STMP (Schniter et al., 2016; arXiv 2503.22140)",
    vamp,
    needs=frozenset({"prior", "linear", "tight", "mixing"}),
    options=VampOptions,
)
