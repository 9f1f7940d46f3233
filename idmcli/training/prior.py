"""First stage of training: the network as a noise estimator."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.denoiser import Denoiser
from idmcli.training.data import CropPool

VALIDATION_SIGMAS = (0.025, 0.1, 0.4)


@dataclass(frozen=True)
class PriorStage:
    """Denoising of crops at noise levels drawn log-uniformly from ``sigma_min .. sigma_max``.

    The loss is the mean absolute (``l1``) or squared (``l2``) error of the unit noise.
    """

    crops: CropPool
    validation: CropPool
    batch: int
    sigma_min: float
    sigma_max: float
    loss_name: str
    seed: int
    device: torch.device

    def loss(self, model: Denoiser, iteration: int) -> tuple[Tensor, float]:
        """Loss of one batch, and the PSNR of its denoised crops in dB."""
        rng = np.random.default_rng([self.seed, iteration])
        x = self.crops.draw(self.batch, rng).to(self.device) - model.mean
        level = rng.uniform(math.log(self.sigma_min), math.log(self.sigma_max), (self.batch, 1, 1, 1))
        sigma = torch.from_numpy(np.exp(level)).to(x)
        noise = torch.from_numpy(rng.standard_normal(x.shape, dtype=np.float32)).to(x)
        estimate, e = model(x + sigma * noise, sigma)
        error = e - noise
        loss = error.abs().mean() if self.loss_name == "l1" else error.square().mean()
        return loss, float(psnr(estimate.detach(), x).mean())

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
