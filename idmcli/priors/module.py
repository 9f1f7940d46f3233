"""A module that denoises images of a fixed number of channels as a prior."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from idmcli.priors.base import Domain


@dataclass(frozen=True)
class ModulePrior:
    """A module as a :class:`~idmcli.priors.base.Prior`.

    ``network(x, sigma)`` takes noisy images x, (B, C, H, W), whose values were in [0, 1] before the noise, and
    their noise levels, (B, 1, 1, 1). C is the number of channels of the domain. It returns the denoised images.

    A module for grey images takes colours one by one. A module for colour images is told one noise level for an image:
    the root mean square over its channels.

    Attributes:
        network: the module.
        name: the name of the weights, for messages.
        domain: the images it was trained for.
        noise_levels: the least and the largest sigma it was trained for.

    >>> import torch
    >>> class Halved(nn.Module):
    ...     def forward(self, x, sigma):
    ...         return x / 2
    >>> prior = ModulePrior(Halved(), "halved", Domain(channels=1), (0.0, 1.0))
    >>> prior(torch.ones(1, 3, 2, 2), torch.ones(1, 1, 1, 1)).unique()
    tensor([0.5000])
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
