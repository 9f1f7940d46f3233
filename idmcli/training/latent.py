"""Training of a latent diffusion model: first its autoencoder, then the noise estimator on its latents."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.latent import LatentDiffusion
from idmcli.training.data import CropPool, generator
from idmcli.training.losses import loss_of
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.config import Config

VALIDATION_SIGMAS = (0.25, 1.0)  # of latents, whose variance is about 1
SHARE = 0.02  # of a batch in the mean and the standard deviation of latents


class Drawn(NamedTuple):
    """Crops (B, C, H, W), a number in 0 .. 1 for the time of each, (B,), and unit noise of latents (B, c, h, w)."""

    x: Tensor
    time: Tensor
    noise: Tensor


@dataclass(frozen=True)
class LatentStage:
    """The two parts of a latent diffusion model, one after the other.

    In the first ``training.autoencoder_iterations`` the loss is the error of images that are encoded, drawn from the
    posterior and decoded, with ``training.kl_weight`` times the latents' Kullback-Leibler divergence from unit noise,
    in nats per pixel. From then on the autoencoder stays, and the loss is the error of the unit noise of its latents
    at times drawn uniformly. Errors are mean absolute (``l1``) or squared (``l2``) ones.
    """

    crops: CropPool
    validation: CropPool
    config: Config
    device: torch.device

    def draw(self, numbers: Sequence[int]) -> Drawn:
        """The crops with these numbers."""
        seed, model = self.config.training.seed, self.config.model
        x = self.crops.crops(seed, numbers)
        side = self.crops.side // 2 ** (len(model.autoencoder) - 1)
        drawn = [generator(seed, "noise", number) for number in numbers]
        times = np.array([rng.uniform() for rng in drawn], dtype=np.float32)
        shape = (model.latent_channels, side, side)
        noise = np.stack([rng.standard_normal(shape, dtype=np.float32) for rng in drawn])
        return Drawn(x, torch.from_numpy(times), torch.from_numpy(noise))

    def loss(
        self, model: LatentDiffusion, iteration: int, numbers: Sequence[int], drawn: Drawn
    ) -> tuple[Tensor, float]:
        """Loss of crops, and in dB the PSNR of what the autoencoder makes of them or, later, of denoised latents."""
        x, time, noise = (part.to(self.device, torch.float32, non_blocking=True) for part in drawn)
        if iteration < self.config.training.autoencoder_iterations:
            return self._autoencoder_loss(model, x, noise)
        return self._estimator_loss(model, x, time, noise)

    def _autoencoder_loss(self, model: LatentDiffusion, x: Tensor, noise: Tensor) -> tuple[Tensor, float]:
        posterior = model.posterior(x)
        latents = posterior.mean + posterior.std * noise
        model.standardise_by(latents.float(), SHARE)
        estimate = model.reconstruct(latents)
        divergence = posterior.kl().sum() / x[:, 0].numel()
        loss = loss_of(estimate - x, self.config.training.loss) + self.config.training.kl_weight * divergence
        return loss, float(psnr(estimate.detach().float(), x).mean())

    def _estimator_loss(self, model: LatentDiffusion, x: Tensor, time: Tensor, noise: Tensor) -> tuple[Tensor, float]:
        with torch.no_grad():
            z = model.encode(x).float()
        levels = model.estimator.log_levels
        sigma = levels[(time * len(levels)).long().clamp_max(len(levels) - 1)].exp()[:, None, None, None]
        r = z + sigma * noise
        z0 = model.estimator.denoise(r, sigma)
        loss = loss_of((r - z0) / sigma - noise, self.config.training.loss)
        return loss, float(psnr(z0.detach().float(), z).mean())

    @torch.no_grad()
    def validate(self, model: LatentDiffusion) -> Validation:
        """PSNR in dB of the held-out crops, encoded and decoded, without noise and denoised at two levels of it."""
        x = self.validation.centre().to(self.device)
        z = model.encode(x)
        noise = torch.from_numpy(np.random.default_rng(self.config.training.seed).standard_normal(z.shape)).to(z)
        pictures = {"truth": x, "autoencoder": model.decode(z)}
        for level in VALIDATION_SIGMAS:
            sigma = torch.full((len(z), 1, 1, 1), level, device=self.device)
            pictures[f"sigma {level}"] = model.decode(model.estimator.denoise(z + sigma * noise, sigma))
        names = [f"psnr_{label.replace(' ', '_')}" for label in pictures]
        scores = {name: float(psnr(image, x).mean()) for name, image in zip(names, pictures.values(), strict=True)}
        del scores["psnr_truth"]
        return Validation(scores, pictures)
