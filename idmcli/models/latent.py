"""A latent diffusion model: a KL autoencoder and a noise estimator on its latents (Rombach et al., CVPR 2022)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor, nn

from idmcli.models.learned import Learned
from idmcli.models.variance_preserving import VariancePreserving, scaled_linear_schedule
from idmcli.ranges import NORM_GROUPS

if TYPE_CHECKING:
    from diffusers.models.autoencoders.vae import DiagonalGaussianDistribution


@dataclass(frozen=True)
class LatentConfig:
    """The sizes of both networks, scales from the finest.

    Attributes:
        image_channels: 1 or 3.
        latent_channels: of the latents.
        autoencoder: channels of each scale of the autoencoder; the latents have the resolution of the last.
        channels: of each scale of the noise estimator.
        blocks: residual blocks on each of its scales.
    """

    image_channels: int = 1
    latent_channels: int = 4
    autoencoder: tuple[int, ...] = (32, 48, 64)
    channels: tuple[int, ...] = (64, 96, 128)
    blocks: int = 1


class LatentDiffusion(Learned):
    """Images x in [0, 1] as latents z of about zero mean and unit variance, and a denoiser of ``r = z + sigma n``.

    Both networks are diffusers' own classes. Noise levels follow Stable Diffusion's schedule, 0.03 to 14.6.

    Attributes:
        autoencoder: an ``AutoencoderKL`` of images in [-1, 1].
        estimator: a ``UNet2DModel`` that predicts the noise.
        mean, std: of the autoencoder's latents as they are, (latent_channels,).
    """

    kind = "latent"
    config: LatentConfig
    autoencoder: Any
    mean: Tensor
    std: Tensor

    def __init__(self, config: LatentConfig) -> None:
        from diffusers import AutoencoderKL, UNet2DModel

        super().__init__()
        self.config = config
        scales, levels = len(config.autoencoder), len(config.channels)
        self.autoencoder = AutoencoderKL(  # type: ignore[no-untyped-call]
            in_channels=config.image_channels,
            out_channels=config.image_channels,
            down_block_types=("DownEncoderBlock2D",) * scales,
            up_block_types=("UpDecoderBlock2D",) * scales,
            block_out_channels=config.autoencoder,
            latent_channels=config.latent_channels,
            norm_num_groups=NORM_GROUPS,
            mid_block_add_attention=False,
        )
        unet = UNet2DModel(  # type: ignore[no-untyped-call]
            in_channels=config.latent_channels,
            out_channels=config.latent_channels,
            down_block_types=("DownBlock2D",) * levels,
            up_block_types=("UpBlock2D",) * levels,
            block_out_channels=config.channels,
            layers_per_block=config.blocks,
            norm_num_groups=NORM_GROUPS,
            add_attention=False,
        )
        self.estimator = VariancePreserving(cast(nn.Module, unet), scaled_linear_schedule())
        self.register_buffer("mean", torch.zeros(config.latent_channels))
        self.register_buffer("std", torch.ones(config.latent_channels))
        for parameter in self.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    @property
    def factor(self) -> int:
        """By how much latents are smaller than images; sides of images are multiples of it."""
        return int(2 ** (len(self.config.autoencoder) - 1))

    def posterior(self, x: Tensor) -> DiagonalGaussianDistribution:
        """The encoding of x, (B, C, H, W): a Gaussian over the autoencoder's latents as they are."""
        found: DiagonalGaussianDistribution = self.autoencoder.encode(2 * x - 1).latent_dist
        return found

    def encode(self, x: Tensor) -> Tensor:
        """The latents (B, latent_channels, H / factor, W / factor) of x: the mean of the posterior, standardised."""
        return (self.posterior(x).mean - self._per_channel(self.mean)) / self._per_channel(self.std)

    def decode(self, z: Tensor) -> Tensor:
        """The images of latents, (B, C, H, W), not clipped."""
        return self.reconstruct(z * self._per_channel(self.std) + self._per_channel(self.mean))

    def reconstruct(self, latents: Tensor) -> Tensor:
        """The images of the autoencoder's latents as they are."""
        decoded: Tensor = self.autoencoder.decode(latents).sample
        return (decoded + 1) / 2

    @torch.no_grad()
    def standardise_by(self, latents: Tensor, share: float) -> None:
        """Move mean and std by a share towards the mean and std of raw latents, (B, latent_channels, h, w)."""
        if bool(torch.isfinite(latents).all()):
            self.mean.lerp_(latents.mean((0, 2, 3)), share)
            self.std.lerp_(latents.std((0, 2, 3)), share)

    def _per_channel(self, values: Tensor) -> Tensor:
        return values[:, None, None]
