"""A noise estimator as a denoiser: the prior that every solver calls."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.injector import Injection
from idmcli.models.unet import InjectorUNet, UNetConfig

GRID = 24


@dataclass(frozen=True)
class DenoiserConfig:
    """The U-Net, and the constant subtracted from images."""

    unet: UNetConfig
    mean: float = 0.45


class Denoiser(nn.Module):
    """Splits a noisy image ``r = x + sigma n`` into the image x and the unit noise n.

    Works on centred images (a constant, the ``mean`` of natural images, subtracted from [0, 1] values),
    because solvers turn whatever energy the start lacks into noise. The network sees the
    variance-preserving ``r / sqrt(1 + sigma^2)`` and infers the noise level from it.

    Attributes:
        mean: the constant to subtract.
        log_sigma, divergence: the curve of the mean divergence ``tr(dd/dr) / N`` of the denoised image
            over the log noise level, measured after training (:func:`calibrate_divergence`).
    """

    log_sigma: Tensor
    divergence: Tensor

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.mean = config.mean
        self.unet = InjectorUNet(config.unet)
        self.unet.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.register_buffer("log_sigma", torch.linspace(math.log(0.003), math.log(2.0), GRID))
        self.register_buffer("divergence", torch.full((GRID,), 0.1))

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        """Denoised image and unit noise (Eq. 1) of r, (B, C, H, W), at noise levels sigma, (B, 1, 1, 1)."""
        e = self.estimate(r * torch.rsqrt(1 + sigma**2), injection)
        return r - sigma * e, e

    def estimate(self, x_t: Tensor, injection: Injection | None = None) -> Tensor:
        """The U-Net on an image of any size and number of channels, (B, C, H, W).

        The image is padded by reflection to the multiple the network needs; a network for grey images
        takes colour channels as separate images.
        """
        batch, channels, height, width = x_t.shape
        inner = self.unet.config.image_channels
        pad = (0, -width % self.unet.multiple, 0, -height % self.unet.multiple)
        mode = "reflect" if min(height, width) > max(pad) else "replicate"

        def fit(image: Tensor) -> Tensor:
            image = image.reshape(-1, inner, height, width)
            return F.pad(image, pad, mode=mode) if any(pad) else image

        def unfit(image: Tensor) -> Tensor:
            return image[..., :height, :width].reshape(batch, channels, height, width)

        if injection is not None:
            injection = injection.through(fit, unfit)
        e: Tensor = self.unet(fit(x_t).contiguous(memory_format=torch.channels_last), injection)
        return unfit(e).to(x_t.dtype)

    def onsager(self, sigma: Tensor) -> Tensor:
        """The weight ``div / (1 - div)`` by which message passing removes the denoiser's own memory of r.

        Interpolated linearly in log sigma on the calibrated curve; sigma of any shape.
        """
        position = (sigma.clamp_min(1e-6).log() - self.log_sigma[0]) / (self.log_sigma[1] - self.log_sigma[0])
        position = position.clamp(0, GRID - 1 - 1e-4)
        left = position.floor().long()
        div = torch.lerp(self.divergence[left], self.divergence[left + 1], position - left)
        return div / (1 - div)


@torch.no_grad()
def calibrate_divergence(denoiser: Denoiser, images: Tensor, generator: torch.Generator) -> None:
    """Measure the divergence curve on centred images (B, C, H, W) by one Monte-Carlo probe per level.

    ``div = probe . (d(r + step probe) - d(r)) / (step N)`` with a probe of random signs.
    """
    for index, log_sigma in enumerate(denoiser.log_sigma.tolist()):
        sigma = torch.full((len(images), 1, 1, 1), math.exp(log_sigma))
        noise = torch.randn(images.shape, generator=generator)
        r = images + sigma * noise
        denoiser.divergence[index] = monte_carlo_divergence(denoiser, r, sigma, generator).mean()


def monte_carlo_divergence(denoiser: Denoiser, r: Tensor, sigma: Tensor, generator: torch.Generator) -> Tensor:
    """``tr(dd/dr) / N`` of each image of a batch, by one random-sign probe of length ``sigma / 20``; (B,)."""
    probe = torch.randint(0, 2, r.shape, generator=generator).to(r) * 2 - 1
    step = sigma / 20
    change: Tensor = denoiser(r + step * probe, sigma)[0] - denoiser(r, sigma)[0]
    return (change * probe / step).flatten(1).mean(1)
