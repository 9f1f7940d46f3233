"""What a prior is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from idmcli.errors import InputError


@dataclass(frozen=True)
class Domain:
    """The images a prior was trained for.

    Attributes:
        channels: 1 (any number of channels is then denoised one by one) or 3 (colours together).
        mean: their mean value; solvers start from it.
        value_range: the values of black and white.
        complex: whether two channels are the real and the imaginary part of one complex image.
    """

    channels: int = 1
    mean: float = 0.0
    value_range: tuple[float, float] = (0.0, 1.0)
    complex: bool = False


class Prior(Protocol):
    """An estimate of x from ``r = x + sigma n`` with white Gaussian n of unit variance.

    Attributes:
        name: of the weights, for messages.
        domain: the images it was trained for.
        noise_levels: the least and the largest sigma it was trained for.
    """

    name: str
    domain: Domain
    noise_levels: tuple[float, float]

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        """The denoised images, (B, C, H, W) like r; differentiable in r.

        Args:
            r: noisy images in the units of :attr:`Domain.value_range`, of any size.
            sigma: noise level of each image or channel, (B, 1 or C, 1, 1), in the same units.
        """
        ...


def check_domain(prior: Prior, channels: int, *, complex_image: bool) -> None:
    """Raise InputError unless a prior serves for images of so many channels."""
    if complex_image and not prior.domain.complex:
        raise InputError(
            f"the prior {prior.name} is for real images, and this image is complex",
            "use a method without a prior: tikhonov or tv",
        )
    if channels % prior.domain.channels:
        raise InputError(
            f"the prior {prior.name} is for colour images, and the image has {channels} channel(s)",
            "take a prior for grey images",
        )
