"""Priors under flips and quarter turns: most images are as likely one way round as the other, and no network is quite
as good at all eight.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from idmcli.models.turns import TURNS, mean_over_turns
from idmcli.priors.base import Adapted, Prior


@dataclass(frozen=True)
class Turned(Adapted):
    """The mean of a prior over turns of the image (:func:`idmcli.models.turns.turn`), each undone after it."""

    turns: tuple[int, ...]

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        return mean_over_turns(lambda image, number: self.prior(image, sigma), r, self.turns)


def turned(prior: Prior, step: int) -> Prior:
    """The prior under another turn in each step, so that its preferences do not add up; the prior itself if its images
    have a right way up."""
    return Turned(prior, (step % TURNS,)) if prior.domain.symmetric else prior


def averaged(prior: Prior) -> Prior:
    """The mean over all eight turns, at eight times the cost."""
    return Turned(prior, tuple(range(TURNS)))
