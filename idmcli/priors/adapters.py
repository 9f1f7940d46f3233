"""Priors beyond what they were trained for: grey images for colour priors, and other noise levels."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from idmcli.priors.base import Adapted, Domain, Prior

TOLERANCE = 0.01  # a level that is this near to the range is within it


@dataclass(frozen=True)
class Grey(Adapted):
    """A colour prior for grey images: it sees three channels, each of which is the image, and their mean is taken.

    The three channels have the same noise, so that along (1, 1, 1), where all of the image lies, the noise is sqrt(3)
    times what a prior that is told sigma expects there: the prior is told ``sqrt(3) sigma``.

    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> colour = load_prior(shipped_weights("prior-colour"))
    >>> Grey(colour)(torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.1)).shape
    torch.Size([1, 1, 16, 16])
    """

    @property
    def domain(self) -> Domain:
        return replace(self.prior.domain, channels=1)

    @property
    def noise_levels(self) -> tuple[float, float]:
        low, high = self.prior.noise_levels
        return low / self._gain, high / self._gain

    @property
    def _gain(self) -> float:
        return math.sqrt(self.prior.domain.channels)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        images = r.reshape(-1, 1, *r.shape[2:]).expand(-1, self.prior.domain.channels, -1, -1)
        level = self._gain * sigma.expand(*r.shape[:2], 1, 1).reshape(-1, 1, 1, 1)
        return self.prior(images, level).mean(1).reshape(r.shape)


@dataclass(frozen=True)
class WithFallback(Adapted):
    """A prior at the noise levels it was trained for, and another one at those that only the other was trained for.

    Attributes:
        other: a prior for the same images.
        say: is told when the other takes over.
    """

    other: Prior
    say: Callable[[str], None]

    @property
    def noise_levels(self) -> tuple[float, float]:
        (low, high), (other_low, other_high) = self.prior.noise_levels, self.other.noise_levels
        return min(low, other_low), max(high, other_high)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        beyond = _within(self.other, sigma) & ~_within(self.prior, sigma)
        if self.domain.channels > 1:  # they belong together
            beyond = beyond.any(1, keepdim=True)
        if not bool(beyond.any()):
            return self.prior(r, sigma)
        low, high = self.prior.noise_levels
        self.say(
            f"the prior {self.name} was trained for noise levels from {low:.3g} to {high:.3g}; beyond them "
            f"{self.other.name} takes over"
        )
        if bool(beyond.all()):
            return self.other(r, sigma)
        return torch.where(beyond, self.other(r, sigma), self.prior(r, sigma))


def with_fallback(prior: Prior, other: Prior, say: Callable[[str], None]) -> Prior:
    """A prior with another one at the noise levels that it was not trained for.

    Args:
        prior: is used at the levels it was trained for, and at those that neither was trained for.
        other: a prior for the same images, which is used at the levels that it alone was trained for.
        say: is told, in one sentence, whenever ``other`` takes over.

    Returns:
        A prior for the levels of both; ``prior`` itself if it was trained for all that the other was.

    >>> from idmcli.priors import FunctionPrior
    >>> low = FunctionPrior(lambda noisy, sigma: noisy, name="low", noise_levels=(0.0, 0.2))
    >>> every = FunctionPrior(lambda noisy, sigma: noisy, name="every", noise_levels=(0.0, 2.0))
    >>> prior = with_fallback(low, every, print)
    >>> _ = prior(torch.rand(1, 1, 4, 4), torch.full((1, 1, 1, 1), 0.5))
    the prior low was trained for noise levels from 0 to 0.2; beyond them every takes over
    """
    (low, high), (other_low, other_high) = prior.noise_levels, other.noise_levels
    return prior if low <= other_low and high >= other_high else WithFallback(prior, other, say)


def _within(prior: Prior, sigma: Tensor) -> Tensor:
    low, high = prior.noise_levels
    return (sigma >= low * (1 - TOLERANCE)) & (sigma <= high * (1 + TOLERANCE))
