"""First stage of training: the network as a noise estimator."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.denoiser import Denoiser
from idmcli.training.data import CropPool, generator

VALIDATION_SIGMAS = (0.025, 0.1, 0.4)


@dataclass(frozen=True)
class PriorStage:
    """Denoising of crops at noise levels drawn log-uniformly from ``sigma_min .. sigma_max``.

    The loss is the mean absolute (``l1``) or squared (``l2``) error of the unit noise.
    """

    crops: CropPool
    validation: CropPool
    sigma_min: float
    sigma_max: float
    loss_name: str
    seed: int
    device: torch.device

    def loss(self, model: Denoiser, iteration: int, numbers: Sequence[int]) -> tuple[Tensor, float]:
        """Loss of the crops with these numbers, and their PSNR in dB once denoised."""
        x = self.crops.crops(self.seed, numbers).to(self.device) - model.mean
        sigma, noise = (part.to(x) for part in self._noise(numbers, x.shape[1:]))
        estimate, e = model(x + sigma * noise, sigma)
        error = e - noise
        loss = error.abs().mean() if self.loss_name == "l1" else error.square().mean()
        return loss, float(psnr(estimate.detach(), x).mean())

    def _noise(self, numbers: Sequence[int], shape: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Noise levels (B, 1, 1, 1) and unit noise (B, *shape) of the crops with these numbers."""
        low, high = math.log(self.sigma_min), math.log(self.sigma_max)
        drawn = [generator(self.seed, "noise", number) for number in numbers]
        levels = np.exp([rng.uniform(low, high) for rng in drawn])
        noise = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in drawn])
        return torch.from_numpy(levels)[:, None, None, None], torch.from_numpy(noise)

    @torch.no_grad()
    def validate(self, model: Denoiser) -> dict[str, float]:
        """PSNR in dB of the held-out crops at three noise levels."""
        x = self.validation.centre().to(self.device) - model.mean
        noise = torch.from_numpy(np.random.default_rng(self.seed).standard_normal(x.shape, dtype=np.float32)).to(x)
        scores = {}
        for level in VALIDATION_SIGMAS:
            sigma = torch.full((len(x), 1, 1, 1), level, device=self.device)
            scores[f"psnr_sigma_{level}"] = float(psnr(model(x + sigma * noise, sigma)[0], x).mean())
        return scores
