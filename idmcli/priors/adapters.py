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
    """A colour prior for grey images: the mean over three channels, each of which is the image.

    Their noise is the same, so that along (1, 1, 1), where all of the image lies, it is sqrt(3) times what a prior told
    sigma expects there: it is told ``sqrt(3) sigma``.
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
class Handover(Adapted):
    """A prior at the noise levels it was trained for, and another one at those that only the other was trained for.

    Attributes:
        other: for the same images.
        say: told when the other takes over.
    """

    other: Prior
    say: Callable[[str], None]

    @property
    def noise_levels(self) -> tuple[float, float]:
        (low, high), (other_low, other_high) = self.prior.noise_levels, self.other.noise_levels
        return min(low, other_low), max(high, other_high)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        beyond = _within(self.other, sigma) & ~_within(self.prior, sigma)
        if self.domain.channels > 1:  # which belong together
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


def handing_over(prior: Prior, other: Prior, say: Callable[[str], None]) -> Prior:
    """A prior with another one beyond its noise levels; the prior itself if it has all that the other has."""
    (low, high), (other_low, other_high) = prior.noise_levels, other.noise_levels
    return prior if low <= other_low and high >= other_high else Handover(prior, other, say)


def _within(prior: Prior, sigma: Tensor) -> Tensor:
    low, high = prior.noise_levels
    return (sigma >= low * (1 - TOLERANCE)) & (sigma <= high * (1 + TOLERANCE))
