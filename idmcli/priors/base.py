"""The interface of priors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor, nn

from idmcli.errors import InputError


@dataclass(frozen=True)
class Domain:
    """The images a prior was trained for.

    Attributes:
        channels: 1 (any number of channels is then denoised one by one) or 3 (colours together).
        mean: their mean value; solvers start from it.
        symmetric: whether flips and quarter turns of such images are as likely as they are.
        complex: whether the images are complex.

    >>> Domain(channels=3, mean=0.45, symmetric=True)
    Domain(channels=3, mean=0.45, symmetric=True, complex=False)
    """

    channels: int = 1
    mean: float = 0.0
    symmetric: bool = False
    complex: bool = False


@runtime_checkable
class Prior(Protocol):
    """An estimate of x from ``r = x + sigma n`` with white Gaussian n of unit variance.

    Whatever values a network was trained on, a prior takes images in [0, 1] and noise levels in the same units.

    Attributes:
        name: the name of the weights, for messages.
        domain: the images it was trained for.
        noise_levels: the least and the largest sigma it was trained for.

    >>> import torch
    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> prior = load_prior(shipped_weights("prior-grey"))
    >>> prior.name, prior.domain.channels, prior.noise_levels[1]
    ('prior-grey', 1, 1.5)
    >>> noisy = 0.5 + 0.1 * torch.randn(2, 1, 16, 16)
    >>> prior(noisy, torch.full((2, 1, 1, 1), 0.1)).shape
    torch.Size([2, 1, 16, 16])
    """

    @property
    def name(self) -> str: ...
    @property
    def domain(self) -> Domain: ...
    @property
    def noise_levels(self) -> tuple[float, float]: ...

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        """The denoised images, (B, C, H, W) like r; differentiable in r.

        Args:
            r: noisy images of any size.
            sigma: noise level of each image or channel, (B, 1 or C, 1, 1): of the real and of the imaginary part of
                complex ones.
        """
        ...


@runtime_checkable
class NetworkPrior(Prior, Protocol):
    """A prior over a network."""

    @property
    def network(self) -> nn.Module: ...


@dataclass(frozen=True)
class Adapted:
    """A prior made of another one. It says of itself what the other says, unless a subclass changes it."""

    prior: Prior

    @property
    def name(self) -> str:
        return self.prior.name

    @property
    def domain(self) -> Domain:
        return self.prior.domain

    @property
    def noise_levels(self) -> tuple[float, float]:
        return self.prior.noise_levels


def check_domain(prior: Prior, channels: int) -> None:
    """Check that a prior serves for images of so many channels.

    Raises:
        InputError: it denoises colours together, and the channels do not make whole colour images.

    >>> from idmcli.priors import FunctionPrior
    >>> check_domain(FunctionPrior(lambda noisy, sigma: noisy), 3)  # one by one
    """
    if channels % prior.domain.channels:
        raise InputError(
            f"the prior {prior.name} is for colour images, and the image has {channels} channel(s)",
            "take a prior for grey images",
        )
