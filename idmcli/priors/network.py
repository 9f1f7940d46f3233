"""A noise estimator of idm's own as a prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.models.denoiser import Denoiser
from idmcli.priors.base import Domain


@dataclass(frozen=True)
class DenoiserPrior:
    """A :class:`~idmcli.models.denoiser.Denoiser`, which works on centred images, as a :class:`Prior`."""

    network: Denoiser
    name: str
    domain: Domain
    noise_levels: tuple[float, float]

    @staticmethod
    def of(network: Denoiser, name: str, noise_levels: tuple[float, float]) -> DenoiserPrior:
        """The prior of a network, whose domain follows from its configuration."""
        domain = Domain(network.unet.config.image_channels, network.mean, symmetric=True)  # so its crops were
        return DenoiserPrior(network, name, domain, noise_levels)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        denoised, _ = self.network(r - self.domain.mean, sigma)
        result: Tensor = torch.add(denoised, self.domain.mean)
        return result
