"""Latent diffusion models of diffusers: an autoencoder and a U-Net, with or without a text."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from idmcli.models.foreign.diffusion import Prediction, VariancePreserving


class Conditioned(nn.Module):
    """A ``UNet2DConditionModel`` whose text is always the same.

    Args:
        unet: the U-Net.
        embedding: of the text, (1, length, channels).
    """

    embedding: Tensor

    def __init__(self, unet: nn.Module, embedding: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.register_buffer("embedding", embedding)

    @property
    def config(self) -> Any:
        return self.unet.config

    def forward(self, x: Tensor, time: Tensor) -> Any:
        return self.unet(x, time, encoder_hidden_states=self.embedding.expand(len(x), -1, -1))


class LatentPipeline(nn.Module):
    """Images in [0, 1] as latents ``z = (E(2 x - 1) - shift) scale``, and a denoiser of these.

    Args:
        autoencoder: an ``AutoencoderKL``, of whose posterior the mean is taken, or a ``VQModel``, which quantises
            latents when it decodes them.
        unet: a ``UNet2DModel`` or :class:`Conditioned`.
        alphas_cumprod, prediction: as for :class:`~idmcli.models.foreign.diffusion.VariancePreserving`.
    """

    def __init__(self, autoencoder: Any, unet: nn.Module, alphas_cumprod: Tensor, prediction: Prediction) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.estimator = VariancePreserving(unet, alphas_cumprod, prediction)
        self.scale = float(autoencoder.config.scaling_factor)
        self.shift = float(getattr(autoencoder.config, "shift_factor", None) or 0.0)
        self.factor = 2 ** (len(autoencoder.config.block_out_channels) - 1)

    def encode(self, x: Tensor) -> Tensor:
        """The latents (B, c, H / factor, W / factor) of x, (B, C, H, W)."""
        encoded = self.autoencoder.encode(2 * x - 1)
        found: Tensor = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
        return (found - self.shift) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """The images of latents, not clipped."""
        decoded: Tensor = self.autoencoder.decode(z / self.scale + self.shift).sample
        return (decoded + 1) / 2
