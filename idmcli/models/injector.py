"""Injectors: the measurements' way into the U-Net (Eqs. 6 and 7)."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class Injection(NamedTuple):
    """The measurements as the injectors of one sampling step see them.

    Attributes:
        step: index of the sampling step, 0 .. T - 1.
        pinv: ``A+ y``, (B, C, H, W), the image size that the U-Net sees.
        range_projection: the map ``f -> A+ A f`` on such images.
    """

    step: int
    pinv: Tensor
    range_projection: Callable[[Tensor], Tensor]

    def through(self, fit: Callable[[Tensor], Tensor], unfit: Callable[[Tensor], Tensor]) -> Injection:
        """The same measurements for a network that sees images through ``fit`` (and back by ``unfit``)."""
        return Injection(self.step, fit(self.pinv), lambda image: fit(self.range_projection(unfit(image))))


class Context(NamedTuple):
    """The inputs of the modules of a reversible group beside the stream.

    Attributes:
        injection: the measurements; None for a plain noise estimator.
        skips: features of the way down.
    """

    injection: Injection | None = None
    skips: tuple[Tensor, ...] = ()


class Injector(nn.Module):
    """Adds measurement information to features, one set of weights per sampling step.

    ``f = conv(pixel_shuffle_r(F_in))``, ``F_out = F_in + pixel_unshuffle_r(conv([f, A+ A f, A+ y]))``.
    The second convolution starts at zero, so that an untrained injector is the identity.
    Without an injection (a plain noise estimator), or without weights, it is the identity too.

    Args:
        channels: feature channels, a multiple of ``scale ** 2``.
        scale: r, image pixels per feature pixel and side.
        steps: T; 0 for the identity.
        image_channels: channels of the image.
        kernel: 1 (the released code) or 3 (the paper's text).
    """

    def __init__(self, channels: int, scale: int, steps: int, image_channels: int = 1, kernel: int = 1) -> None:
        super().__init__()
        inner, pad = channels // scale**2, kernel // 2
        self.scale = scale
        self.to_image = nn.ModuleList(nn.Conv2d(inner, image_channels, kernel, padding=pad) for _ in range(steps))
        self.to_features = nn.ModuleList(
            nn.Conv2d(3 * image_channels, inner, kernel, padding=pad) for _ in range(steps)
        )
        for parameter in self.to_features.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, context: Context) -> Tensor:
        injection = context.injection
        if injection is None or not self.to_image:
            return features
        f = self.to_image[injection.step](F.pixel_shuffle(features, self.scale))
        # The measurements lose too much in half precision: A and A+ always run in float32 or better.
        with torch.autocast(f.device.type, enabled=False):
            f = f.to(injection.pinv.dtype)
            image = torch.cat([f, injection.range_projection(f), injection.pinv], dim=1)
        return features + F.pixel_unshuffle(self.to_features[injection.step](image), self.scale)
