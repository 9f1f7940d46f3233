"""Denoising vector approximate message passing for tight, structurally random operators.

Schniter, Rangan & Fletcher, "Denoising based vector approximate message passing", 2016.
"""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.models.denoiser import Denoiser
from idmcli.operators.base import LinearOperator
from idmcli.solvers.problem import Problem, is_structurally_random


@torch.no_grad()
def vamp(
    denoiser: Denoiser, operator: LinearOperator, y: Tensor, *, noise: float = 0.0, iterations: int = 10
) -> Tensor:
    """Reconstruct x from y = A x, where ``A A^T = I`` and A is random.

    With the estimate x^ and P = |y - A x^|^2 / M, the image ``r = x^ + A^T (y - A x^) / gamma`` is x
    plus white Gaussian noise of variance ``(1 / gamma - 1) P + noise^2``: what the denoiser was
    trained on. Its output d loses its memory of r through ``x^ = d - c (r - d)``, c = div / (1 - div).

    Args:
        denoiser: the prior.
        operator: structurally random.
        y: measurements of images in [0, 1], (B, \\*measurement_shape).
        noise: standard deviation of the measurement noise.
        iterations: of two denoiser calls each (one in the last).

    Returns:
        Images (B, C, H, W), not clipped.

    Raises:
        InputError: the error of ``A^T y`` would not look like white noise under this operator.
    """
    if not is_structurally_random(operator):
        raise InputError(
            f"method vamp is for compressed sensing with a global permutation, not for this {operator.kind} operator",
            "use --method ddnm or --method tv",
        )
    problem = Problem.centred(operator, y, denoiser.mean)
    gamma = problem.operator.ratio
    x = torch.zeros_like(problem.back_projection)
    d = x
    for iteration in range(iterations):
        sigma = ((1 / gamma - 1) * problem.residual_power(x) + noise**2).sqrt()
        r = problem.project(x, 1 / gamma)
        d, e = denoiser(r, sigma)
        if iteration + 1 < iterations:
            x = d - denoiser.onsager(r, sigma, d, seed=iteration) * sigma * e
    trust = (1 - noise**2 / problem.residual_power(d).clamp_min(1e-12)).clamp_min(0)
    return operator.crop(problem.project(d, trust)) + problem.mean
