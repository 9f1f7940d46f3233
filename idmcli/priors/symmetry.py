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
    """A prior under another turn of the image in each step of a method, so that its preferences do not add up.

    The prior stays as it is if its images have a right way up.

    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> prior = load_prior(shipped_weights("prior-grey"))
    >>> [turned(prior, step).turns for step in (0, 1, 9)]
    [(0,), (1,), (1,)]
    """
    return Turned(prior, (step % TURNS,)) if prior.domain.symmetric else prior


def averaged(prior: Prior) -> Prior:
    """The mean of a prior over all eight turns of the image, at eight times the cost.

    >>> import torch
    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> prior = averaged(load_prior(shipped_weights("prior-grey")))
    >>> prior(torch.rand(1, 1, 16, 24), torch.full((1, 1, 1, 1), 0.1)).shape
    torch.Size([1, 1, 16, 24])
    """
    return Turned(prior, tuple(range(TURNS)))
