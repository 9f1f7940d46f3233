"""Image quality of batches, in float64, with the conventions named."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

CONVENTIONS = (
    "PSNR in dB on values clamped to the range from black to white, which is its peak, and not rounded; over the "
    "unpadded image, all channels together. "
    "SSIM on the same values: 7x7 uniform window, sample covariance, K1 = 0.01, K2 = 0.03, mean over the valid inside "
    "and the channels (scikit-image's default). Luminance is full-range 0.299 R + 0.587 G + 0.114 B, not rounded. "
    "Means and population standard deviations are over images."
)

_WINDOW = 7


def psnr(x: Tensor, ref: Tensor, data_range: float = 1.0) -> Tensor:
    """Peak signal-to-noise ratio ``10 log10(data_range^2 / mean (x - ref)^2)`` of each image.

    Args:
        x: (B, ...), real; taken as it is, so clamp and crop it first (see :data:`CONVENTIONS`).
        ref: the same shape.
        data_range: white minus black.

    Returns:
        (B,) float64, in dB; infinite for identical images.
    """
    x, ref = _checked(x, ref)
    return 10 * torch.log10(data_range**2 / (x - ref).square().flatten(1).mean(dim=1))


def ssim(x: Tensor, ref: Tensor, data_range: float = 1.0) -> Tensor:
    """Structural similarity (Wang et al., IEEE TIP 2004, Eq. 13) of each image, as scikit-image's default.

    Args:
        x: (B, C, H, W), real; taken as it is, so clamp and crop it first.
        ref: the same shape.
        data_range: white minus black.

    Returns:
        (B,) float64, the mean over channels; NaN when H or W is below 7, where no window fits.
    """
    x, ref = _checked(x, ref)
    if x.ndim != 4:
        raise ValueError(f"expected (B, C, H, W), got {tuple(x.shape)}")
    if min(x.shape[2:]) < _WINDOW:
        return x.new_full((len(x),), math.nan)
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    sample = _WINDOW**2 / (_WINDOW**2 - 1)  # from the population to the sample covariance

    def mean(values: Tensor) -> Tensor:
        return avg_pool2d(values, _WINDOW, stride=1)

    mx, mr = mean(x), mean(ref)
    vx, vr, cov = mean(x * x) - mx * mx, mean(ref * ref) - mr * mr, mean(x * ref) - mx * mr
    similarity = (2 * mx * mr + c1) * (2 * sample * cov + c2)
    similarity = similarity / ((mx * mx + mr * mr + c1) * (sample * (vx + vr) + c2))
    return similarity.mean(dim=(1, 2, 3))


class Quality(NamedTuple):
    """How near an image is to the truth: PSNR in dB, and SSIM, by :data:`CONVENTIONS`."""

    psnr: float
    ssim: float


def quality(x: Tensor, truth: Tensor) -> Quality:
    """The quality of one image, (1, C, H, W) in [0, 1] like the truth."""
    return Quality(float(psnr(x, truth)), float(ssim(x, truth)))


def _checked(x: Tensor, ref: Tensor) -> tuple[Tensor, Tensor]:
    if x.shape != ref.shape or x.ndim < 2:
        raise ValueError(f"expected two batches of one shape, got {tuple(x.shape)} and {tuple(ref.shape)}")
    if x.is_complex() or ref.is_complex():
        raise ValueError("expected real images; take the magnitude of complex ones")
    return x.double(), ref.double()
