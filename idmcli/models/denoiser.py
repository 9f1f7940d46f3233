"""A noise estimator as a denoiser: the prior that every solver calls."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional as F

from idmcli.errors import InputError
from idmcli.models.architectures import UNetSettings, build_unet
from idmcli.models.injector import Injection
from idmcli.models.learned import Learned
from idmcli.models.turns import TURNS, mean_over_turns, turn, turn_back
from idmcli.reversible.engine import Memory

PHOTOGRAPH_MEAN = 0.45
LEAST_LEVEL = 1e-4  # of a noise map: solvers may come to none at all


@dataclass(frozen=True)
class DenoiserConfig:
    """The U-Net, the constant subtracted from images, and whether the network receives the noise level, as a
    constant map of ln(sigma) / 4 beside the image. Without the map it estimates the level from the image."""

    unet: UNetSettings
    mean: float = PHOTOGRAPH_MEAN
    noise_map: bool = False


class Denoiser(Learned):
    """Splits a noisy image ``r = x + sigma n`` into the image x and the unit noise n.

    Works on centred images (a constant, the ``mean`` of natural images, subtracted from [0, 1] values),
    because solvers turn whatever energy the start lacks into noise. The network sees the
    variance-preserving ``r / sqrt(1 + sigma^2)``, with a noise map or without one.

    Attributes:
        mean: the constant to subtract.
        inputs: how many images the network sees side by side. The noise belongs to the first; a noise map is the last.
        outputs: how many images it gives: that noise, and features.
        ensemble: whether to take the mean over all flips and quarter turns of the image instead of one of them.
    """

    kind = "prior"
    config: DenoiserConfig
    ensemble: bool = False

    def __init__(self, config: DenoiserConfig, inputs: int = 1, outputs: int = 1) -> None:
        super().__init__()
        self.config = config
        self.mean = config.mean
        self.inputs, self.outputs = inputs + config.noise_map, outputs
        self.unet = build_unet(config.unet, self.inputs, outputs)
        for parameter in self.unet.parameters():
            if parameter.ndim == 4:
                parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)

    def average_over_turns(self) -> None:
        self.ensemble = True

    def forward(
        self, r: Tensor, sigma: Tensor, injection: Injection | None = None, memory: Memory = "plain", number: int = 0
    ) -> tuple[Tensor, Tensor]:
        """Denoised image and unit noise (Eq. 1) of r, (B, C, H, W), at noise levels sigma, (B, 1 or C, 1, 1)."""
        e = self.noise(scaled(r, sigma), sigma, injection, memory, number)
        return r - sigma * e, e

    def noise(
        self, x_t: Tensor, sigma: Tensor, injection: Injection | None = None, memory: Memory = "plain", number: int = 0
    ) -> Tensor:
        """Unit noise of ``x_t = r / sqrt(1 + sigma^2)`` at noise levels sigma.

        From (B, C inputs, H, W), not counting the noise map, to (B, C outputs, H, W). The first input of each channel
        is x_t, and the first output its noise.
        """
        if self.config.noise_map:
            images = x_t.view(len(x_t), -1, self.inputs - 1, *x_t.shape[2:])
            level = (sigma.clamp_min(LEAST_LEVEL).log() / 4).expand(*images.shape[:2], 1, 1)
            x_t = torch.cat([images, level.unsqueeze(2).expand_as(images[:, :, :1])], 2).flatten(1, 2)
        return self.estimate(x_t, injection, memory, number)

    def estimate(
        self, x_t: Tensor, injection: Injection | None = None, memory: Memory = "plain", number: int = 0
    ) -> Tensor:
        """The U-Net on an image of any size and number of channels, (B, C, H, W), under a turn of that number
        (:func:`idmcli.models.turns.turn`) which is undone after it.

        The image is padded by reflection to the multiple the network needs; a network for grey images
        takes colour channels as separate images. Of several inputs the first channels stand together, then the
        second ones: (B, C inputs, H, W).

        Raises:
            InputError: a grey image and a network for colour.
        """

        def estimate(image: Tensor, number: int) -> Tensor:
            turned = injection
            if injection is not None and number:
                turned = injection.through(partial(turn, number=number), partial(turn_back, number=number))
            return self._upright(image, turned, memory)

        return mean_over_turns(estimate, x_t, range(TURNS) if self.ensemble else (number,))

    def _upright(self, x_t: Tensor, injection: Injection | None, memory: Memory) -> Tensor:
        batch, channels, height, width = x_t.shape
        inner = self.unet.config.image_channels * self.inputs
        if channels % inner:
            raise InputError("this network is for colour images, and the image is grey", "take weights for grey images")
        pad = (0, -width % self.unet.multiple, 0, -height % self.unet.multiple)
        mode = "reflect" if min(height, width) > max(pad) else "replicate"

        def fit(image: Tensor) -> Tensor:
            image = image.reshape(batch * channels // inner, -1, height, width)
            return F.pad(image, pad, mode=mode) if any(pad) else image

        def unfit(image: Tensor) -> Tensor:
            return image[..., :height, :width].reshape(batch, -1, height, width)

        if injection is not None:
            injection = injection.through(fit, unfit)
        e: Tensor = self.unet(fit(x_t).contiguous(memory_format=torch.channels_last), injection, memory)
        return unfit(e).to(x_t.dtype)


def scaled(r: Tensor, sigma: Tensor) -> Tensor:
    """The variance-preserving ``x_t = r / sqrt(1 + sigma^2)``, which networks see, of ``r = x + sigma n``."""
    return r * torch.rsqrt(1 + sigma**2)
