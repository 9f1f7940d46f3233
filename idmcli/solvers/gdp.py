"""Generative diffusion prior (Fei et al., CVPR 2023)."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Generator, Tensor

from idmcli.errors import InputError
from idmcli.numerics.noise import ddim_noise, falling_levels, normal_like
from idmcli.operators import Operator, Problem
from idmcli.priors import Prior, turned
from idmcli.ranges import Count, Positive, PositiveOrZero, Share
from idmcli.solvers import Progress, Solver

STEP = 0.02  # of the logarithm of an unknown number, for differences
VALUES = 3 * 256 * 256  # of the authors' images, over which their loss is a mean


@dataclass(frozen=True)
class GDPOptions:
    """Options of :func:`gdp`, with the authors' values: the scale is 2000 for super-resolution, 6000 for blur."""

    steps: Count = 1000  # denoiser calls
    scale: Positive = 4000.0  # s: the strength of the pull towards the measurements
    guided: Literal["x0", "xt"] = "x0"  # where the measurements pull: at the denoised image or at the noisy one
    blind: bool = False  # estimate the operator's unknown number too (the gain of hdr, the width of a Gaussian blur)
    guess: PositiveOrZero = 0.0  # blind: where to start; 0: at the operator's own value
    rate: Share = 0.1  # blind: share of a Gauss-Newton step


@torch.no_grad()
def gdp(
    problem: Problem[Operator], prior: Prior, options: GDPOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x from y = A(x) + n: ancestral steps whose mean is pulled to the measurements, not through the prior.

    ``r' = x0 + c1 z + c2 e - s' A^T (A(u) - y) / |A|^2`` with DDIM's c1 and c2 for eta = 1, and u = x0 (Algorithm 2) or
    u = ``m + (r - m) / sqrt(1 + 4 sigma^2)``, the noisy image with the variance of images, of mean m (Algorithm 1).
    The authors' s scales the gradient of the mean of (A(u) - y)^2 over 3 x 256 x 256 values from -1 to 1. Here it
    becomes ``s' = s sqrt(1 + 4 sigma'^2) / (2 * 196608)``, for images of any size. Levels fall geometrically from 1.5.
    The start is the operator's first guess.

    With ``blind``, as in the paper for unknown degradations, the operator starts at a guess. Each step improves it by
    :func:`refine` before it pulls the image. ``progress`` receives the unknown number too.

    Raises:
        InputError: blind, and the operator has nothing to estimate.
    """
    if options.blind:
        problem = replace(problem, operator=_guessed(problem.operator, options.guess))
    operator, y, mean = problem.operator, problem.y, prior.domain.mean
    strength = options.scale / (2 * VALUES) / operator.squared_norm(y)
    levels = falling_levels(options.steps)
    start = problem.first_guess(mean)
    r = start + levels[0] * normal_like(start, generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = turned(prior, step)(r, sigma)
        if options.blind:
            operator = refine(operator, x0, y, options.rate)
        u = x0 if options.guided == "x0" else mean + (r - mean) / math.sqrt(1 + 4 * level**2)
        _, gradient = operator.misfit(u, y)
        pull = strength * math.sqrt(1 + 4 * following**2) * gradient
        fresh, kept = ddim_noise(level, following, 1.0)
        e = (r - x0) / level
        r = x0 + fresh * normal_like(r, generator) + kept * e - pull
        progress(step, options.steps, operator.unknown if options.blind else None)
    return r


def refine(operator: Operator, x: Tensor, y: Tensor, rate: float) -> Operator:
    """The operator with its unknown number f nearer to the best for x, for all images of a batch.

    ``f' = f exp(-rate <j, A(x) - y> / |j|^2)`` with the derivative j of A(x) by log f, from differences: the gradient
    step of the authors in units of the curvature, for a number that is > 0. A step changes it by a factor of 2 at most.
    """
    f = operator.unknown
    assert f is not None
    higher, lower = (operator.with_unknown(f * math.exp(h)).A(x) for h in (STEP, -STEP))
    j = (higher - lower) / (2 * STEP)
    change = rate * float((j * (operator.A(x) - y)).sum() / j.square().sum().clamp_min(1e-12))
    return operator.with_unknown(f * math.exp(-min(max(change, -math.log(2)), math.log(2))))


def _guessed(operator: Operator, guess: float) -> Operator:
    if operator.unknown is None:
        raise InputError(
            f"this {operator.kind} operator has no unknown number that gdp could estimate",
            "leave out solver.blind; the gain of hdr and the width of a Gaussian blur can be estimated",
        )
    return operator.with_unknown(guess) if guess else operator


SOLVER = Solver(
    "gdp",
    "generative diffusion prior: sampling pulled to the measurements, for any operator (Fei et al., 2023)",
    gdp,
    needs=frozenset({"prior"}),
    options=GDPOptions,
    samples=True,
    meets=frozenset({"range"}),
)
