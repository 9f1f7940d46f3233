"""First stage of training: the network as a noise estimator."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.denoiser import Denoiser
from idmcli.training.data import CropPool, generator
from idmcli.training.losses import LossName, loss_of
from idmcli.training.validation import Validation

VALIDATION_SIGMAS = (0.025, 0.1, 0.4)


class Drawn(NamedTuple):
    """Crops (B, C, H, W), their noise levels (B, 1, 1, 1) and unit noise (B, C, H, W)."""

    x: Tensor
    sigma: Tensor
    noise: Tensor


@dataclass(frozen=True)
class PriorStage:
    """Denoising of crops at noise levels drawn log-uniformly from ``sigma_min .. sigma_max``.

    The loss is computed on the unit noise's error (:func:`idmcli.training.losses.loss_of`).
    """

    crops: CropPool
    validation: CropPool
    sigma_min: float
    sigma_max: float
    loss_name: LossName
    seed: int
    device: torch.device

    def draw(self, numbers: Sequence[int]) -> Drawn:
        """The crops with these numbers."""
        x = self.crops.crops(self.seed, numbers)
        return Drawn(x, *self._noise(numbers, x.shape[1:]))

    def loss(self, model: Denoiser, iteration: int, numbers: Sequence[int], drawn: Drawn) -> tuple[Tensor, float]:
        """Loss of crops, and their PSNR in dB once denoised."""
        x, sigma, noise = (part.to(self.device, torch.float32, non_blocking=True) for part in drawn)
        return noise_loss(model, x - model.mean, sigma, noise, self.loss_name)

    def _noise(self, numbers: Sequence[int], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise levels (B, 1, 1, 1) and unit noise (B, *shape) of the crops with these numbers."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        drawn = [generator(self.seed, "noise", number) for number in numbers]
        levels = np.exp([rng.uniform(low, high) for rng in drawn])
        noise = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in drawn])
        return torch.from_numpy(levels)[:, None, None, None], torch.from_numpy(noise)

    @torch.no_grad()
    def validate(self, model: Denoiser) -> Validation:
        """PSNR in dB of the held-out crops at three noise levels."""
        x = self.validation.centre().to(self.device) - model.mean
        noise = torch.from_numpy(np.random.default_rng(self.seed).standard_normal(x.shape, dtype=np.float32)).to(x)
        scores, pictures = {}, {"truth": x + model.mean}
        for level in VALIDATION_SIGMAS:
            sigma = torch.full((len(x), 1, 1, 1), level, device=self.device)
            estimate = model(x + sigma * noise, sigma)[0]
            scores[f"psnr_sigma_{level}"] = float(psnr(estimate, x).mean())
            pictures[f"sigma {level}"] = estimate + model.mean
        return Validation(scores, pictures)


def noise_loss(
    denoise: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]], x: Tensor, sigma: Tensor, noise: Tensor, name: LossName
) -> tuple[Tensor, float]:
    """The error of the noise that is found in ``r = x + sigma noise``, and the PSNR in dB of what is left of r.

    Args:
        denoise: of r and sigma, the image and the unit noise.
        x: centred crops (B, C, H, W).
        sigma: their noise levels, (B, 1, 1, 1).
        noise: unit noise like x.
        name: of the loss.
    """
    estimate, e = denoise(x + sigma * noise, sigma)
    return loss_of(e - noise, name), float(psnr(estimate.detach(), x).mean())
