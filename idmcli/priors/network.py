"""A noise estimator of idm's own as a prior."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.models.denoiser import Denoiser
from idmcli.priors.base import Domain

LARGEST = 5.0  # unit noise that is believed: of 1.7 million true values one is larger


@dataclass(frozen=True)
class DenoiserPrior:
    """A :class:`~idmcli.models.denoiser.Denoiser`, which works on centred images, as a :class:`Prior`.

    Far from what it was trained on, as in the first steps of ``hqs``, a network may see ever more noise until all is
    lost; no more than ``LARGEST`` standard deviations of it are taken away.
    """

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
        _, e = self.network(r - self.domain.mean, sigma)
        result: Tensor = torch.sub(r, sigma * e.clamp(-LARGEST, LARGEST))
        return result
