"""Priors under flips and quarter turns: most images are as likely one way round as the other, and no network is quite
as good at all eight.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.models.turns import TURNS, turn, turn_back
from idmcli.priors.base import Domain, Prior


@dataclass(frozen=True)
class Turned:
    """The mean of a prior over turns of the image (:func:`idmcli.models.turns.turn`), each undone after it."""

    prior: Prior
    turns: tuple[int, ...]

    @property
    def name(self) -> str:
        return self.prior.name

    @property
    def domain(self) -> Domain:
        return self.prior.domain

    @property
    def noise_levels(self) -> tuple[float, float]:
        return self.prior.noise_levels

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        views = [turn_back(self.prior(turn(r, number), sigma), number) for number in self.turns]
        return views[0] if len(views) == 1 else torch.stack(views).mean(0)


def turned(prior: Prior, step: int) -> Prior:
    """The prior under another turn in each step, so that its preferences do not add up; the prior itself if its images
    have a right way up."""
    return Turned(prior, (step % TURNS,)) if prior.domain.symmetric else prior


def averaged(prior: Prior) -> Prior:
    """The mean over all eight turns, at eight times the cost."""
    return Turned(prior, tuple(range(TURNS)))
