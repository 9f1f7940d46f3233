"""Denoisers of other authors as priors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from idmcli.models.denoiser import PHOTOGRAPH_MEAN
from idmcli.priors.base import Domain


@dataclass(frozen=True)
class ForeignPrior:
    """A module of :mod:`idmcli.models.foreign` as a :class:`~idmcli.priors.base.Prior`.

    A network for grey images takes colours one by one. One for colour has one noise level for an image: the root mean
    square of those of its channels.
    """

    network: nn.Module
    name: str
    domain: Domain
    noise_levels: tuple[float, float]

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        channels = self.domain.channels
        levels = sigma.expand(*r.shape[:2], 1, 1).reshape(-1, channels, 1, 1)
        level = levels.square().mean(1, keepdim=True).sqrt() if channels > 1 else levels
        denoised: Tensor = self.network(r.reshape(-1, channels, *r.shape[2:]), level)
        return denoised.reshape(r.shape).to(r.dtype)


def photographs(channels: int, *, symmetric: bool) -> Domain:
    """What networks for so many channels of photographs were trained on, with or without flips."""
    return Domain(channels, PHOTOGRAPH_MEAN, symmetric)
