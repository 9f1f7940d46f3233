"""Denoising diffusion null-space model (Wang, Yu & Zhang, ICLR 2023)."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from idmcli.models.denoiser import Denoiser
from idmcli.operators.base import LinearOperator
from idmcli.solvers.problem import Problem

SIGMA_START, SIGMA_END = 1.5, 0.005


@torch.no_grad()
def ddnm(
    denoiser: Denoiser,
    operator: LinearOperator,
    y: Tensor,
    *,
    noise: float = 0.0,
    steps: int = 100,
    eta: float = 0.85,
    seed: int = 0,
) -> Tensor:
    """Sample x from y = A x: denoise, project on the measurements, add fresh noise.

    Written with the noise-to-signal level sigma = sqrt((1 - ab) / ab) and r = x_t / sqrt(ab):
    ``x0 = r - sigma e``, ``xb = x0 - lambda A+ (A x0 - y)``, ``r' = xb + s (eta z + sqrt(1 - eta^2) e)``.
    For noisy measurements lambda = min(1, sigma' / noise) and s^2 = sigma'^2 - (lambda noise)^2 (the
    simplified DDNM+); otherwise lambda = 1 and s = sigma'. Levels fall geometrically from 1.5.

    Args:
        denoiser: the prior.
        operator: any operator with a pseudo-inverse.
        y: measurements of images in [0, 1], (B, \\*measurement_shape).
        noise: standard deviation of the measurement noise.
        steps: denoiser calls (the authors use 100).
        eta: share of fresh noise, 0 .. 1 (the authors use 0.85).
        seed: of the noise.

    Returns:
        Images (B, C, H, W), not clipped.
    """
    problem = Problem.centred(operator, y, denoiser.mean)
    generator = torch.Generator().manual_seed(seed)

    def normal() -> Tensor:
        like = problem.back_projection
        return torch.randn(like.shape, generator=generator).to(like)

    levels = [*torch.logspace(math.log10(SIGMA_START), math.log10(SIGMA_END), steps).tolist(), 0.0]
    r = problem.back_projection + levels[0] * normal()
    for level, following in zip(levels, levels[1:], strict=False):
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0, e = denoiser(r, sigma)
        trust = min(1.0, following / noise) if noise > 0 else 1.0
        spread = math.sqrt(max(0.0, following**2 - (trust * noise) ** 2))
        r = problem.project(x0, trust) + spread * (eta * normal() + math.sqrt(1 - eta**2) * e)
    return operator.crop(r) + problem.mean
