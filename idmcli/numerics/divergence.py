"""The divergence of a denoiser, by which message passing removes the denoiser's memory of its input."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MAX_DIVERGENCE = 0.9  # larger ones are taken for this one, whose correction has the weight 9


@torch.no_grad()
def divergence(
    denoise: Callable[[Tensor, Tensor], Tensor], r: Tensor, sigma: Tensor, denoised: Tensor, *, seed: int = 0
) -> Tensor:
    """``tr(dd/dr) / N`` of each channel of each image, (B, C, 1, 1), from one Monte-Carlo probe.

    A probe p of random signs gives ``p . (d(r + s p) - d(r)) / (s N)`` with s = sigma / 20 (Ramani, Blu &
    Unser, 2008). It differs too much between images for a curve over sigma to serve: that costs 0.9 dB at 10 %.

    Args:
        denoise: d(r, sigma).
        r: noisy images (B, C, H, W).
        sigma: their noise levels, (B, 1 or C, 1, 1).
        denoised: d(r, sigma).
        seed: of the probe, which is the same for every image: none depends on the others of its batch.

    Returns:
        the divergences.
    """
    signs = torch.randint(0, 2, r.shape[1:], generator=torch.Generator().manual_seed(seed))
    probe = (2 * signs - 1).to(r)
    step = sigma.clamp_min(1e-4) / 20
    change = denoise(r + step * probe, sigma) - denoised
    return (change * probe / step).mean((2, 3), keepdim=True).clamp(-MAX_DIVERGENCE, MAX_DIVERGENCE)


def stein_divergence(r: Tensor, sigma: Tensor, denoised: Tensor) -> Tensor:
    """``tr(dd/dr) / N`` of each channel of each image, (B, C, 1, 1), without a probe: ``1 - |r - d|^2 / (N sigma^2)``.

    Stein's unbiased estimate of the risk, ``|r - d|^2 / N - sigma^2 + 2 sigma^2 div``, is set equal to the risk
    ``sigma^2 div`` of the denoiser of least squared error (Stein, 1981; Robbins, 1956). A trained denoiser comes close
    to that one at low noise.

    Args:
        r: noisy images (B, C, H, W).
        sigma: their noise levels, (B, 1 or C, 1, 1), > 0.
        denoised: d(r, sigma).

    Returns:
        the divergences.
    """
    removed = (r - denoised).square().mean((2, 3), keepdim=True)
    return (1 - removed / sigma.square().clamp_min(1e-12)).clamp(-MAX_DIVERGENCE, MAX_DIVERGENCE)


def onsager(divergence: Tensor) -> Tensor:
    """The weight ``c = div / (1 - div)`` of the correction ``x = d - c (r - d)``."""
    return divergence / (1 - divergence)
