"""Noise estimators of variance-preserving diffusion as denoisers.

The network knows a picture x in [0, 1] as ``x' = 2 x - 1``, so that noise of level sigma has the level ``s = 2 sigma``.
It sees ``x_t = sqrt(ab) x' + sqrt(1 - ab) n``, which is ``sqrt(ab) (x' + s n)`` with ``s = sqrt((1 - ab) / ab)``, so

    ab = 1 / (1 + s^2),    x_t = (2 r - 1) / sqrt(1 + s^2),    t such that ab_t = ab.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from idmcli.models.padding import pad_to

Prediction = Literal["epsilon", "sample", "v_prediction"]


def linear_schedule(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> Tensor:
    """The cumulative alphas ``ab_t = prod (1 - beta_t)`` of Ho et al. (NeurIPS 2020), whose betas are linear in t.

    Args:
        steps: how many times there are.
        first: the beta of the first time.
        last: the beta of the last time.

    Returns:
        ab_t, (steps,), falling, in double precision.
    """
    return torch.cumprod(1 - torch.linspace(first, last, steps, dtype=torch.float64), 0)


def scaled_linear_schedule(steps: int = 1000, first: float = 0.00085, last: float = 0.012) -> Tensor:
    """The cumulative alphas of latent diffusion (Rombach et al., CVPR 2022): the square roots of its betas are linear
    in t. The defaults belong to Stable Diffusion.

    Args:
        steps: how many times there are.
        first: the beta of the first time.
        last: the beta of the last time.

    Returns:
        ab_t, (steps,), falling, in double precision.
    """
    betas = torch.linspace(first**0.5, last**0.5, steps, dtype=torch.float64) ** 2
    return torch.cumprod(1 - betas, 0)


class VariancePreserving(nn.Module):
    """A U-Net of diffusers as a denoiser.

    It is shown ``x_t = sqrt(ab) x' + sqrt(1 - ab) e``, and the clean image follows from what it predicts:

    - "epsilon", the noise e: ``x' = (x_t - sqrt(1 - ab) e) / sqrt(ab)``;
    - "v_prediction", v: ``x' = sqrt(ab) x_t - sqrt(1 - ab) v``;
    - "sample": x' itself.

    A network that learned the variance too has twice the channels: the first half is used.

    Args:
        unet: a ``UNet2DModel``, or a module that is called like one.
        alphas_cumprod: ab_t, (steps,), positive and falling.
        prediction: what the U-Net was trained to predict.
    """

    log_levels: Tensor

    def __init__(self, unet: nn.Module, alphas_cumprod: Tensor, prediction: Prediction = "epsilon") -> None:
        super().__init__()
        self.unet = unet
        self.prediction = prediction
        self.multiple = 2 ** (len(unet.config.block_out_channels) - 1)  # type: ignore[arg-type, union-attr]
        log_levels = ((1 - alphas_cumprod) / alphas_cumprod).log() / 2
        self.register_buffer("log_levels", log_levels.float())

    @property
    def noise_levels(self) -> tuple[float, float]:
        """The least and the largest sigma of the schedule, for images in [0, 1]."""
        low, high = self.log_levels[[0, -1]].exp().tolist()
        return low / 2, high / 2

    def time(self, s: Tensor) -> Tensor:
        """The time t, a real number, at which the schedule has the level s; linear in log s between two steps."""
        wanted, last = s.log(), len(self.log_levels) - 1
        after = torch.searchsorted(self.log_levels, wanted).clamp(1, last)
        low, high = self.log_levels[after - 1], self.log_levels[after]
        time: Tensor = after - 1 + (wanted - low) / (high - low)
        return time.clamp(0, last)

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The denoised images of x in [0, 1], (B, C, H, W), with noise of level sigma, (B, 1, 1, 1)."""
        return (self.denoise(2 * x - 1, 2 * sigma) + 1) / 2

    def denoise(self, r: Tensor, s: Tensor) -> Tensor:
        """The clean x' in ``r = x' + s n``, on the scale that the network was trained on."""
        ab = 1 / (1 + s**2)
        x_t = ab.sqrt() * r
        seen = pad_to(x_t, self.multiple, "reflect")
        out: Tensor = self.unet(seen, self.time(s).flatten()).sample[:, : r.shape[1], : r.shape[2], : r.shape[3]]
        match self.prediction:
            case "epsilon":
                return r - s * out
            case "v_prediction":
                return ab.sqrt() * x_t - (1 - ab).sqrt() * out
            case "sample":
                return out
