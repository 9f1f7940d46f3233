"""A noise estimator of idm's own as a prior, and the files that idm writes of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.models.checkpoints import kind_in, load_weights
from idmcli.models.denoiser import Denoiser
from idmcli.models.latent import LatentDiffusion
from idmcli.priors.base import Domain
from idmcli.priors.formats import AnyPrior, PriorFormat, Source
from idmcli.priors.latent import NetworkLatentPrior

LARGEST = 5.0  # standard deviations that are believed: one true value in 1.7 million is larger
UNNAMED = (0.004, 1.5)  # noise levels of files that do not name theirs


@dataclass(frozen=True)
class DenoiserPrior:
    """A :class:`~idmcli.models.denoiser.Denoiser`, which works on centred images, as a
    :class:`~idmcli.priors.base.Prior`.

    A network may see ever more noise in images unlike its training images, as in the first steps of ``hqs``, until
    all is lost. No more than ``LARGEST`` standard deviations of noise are taken away.

    >>> from idmcli.models import load_weights, shipped_weights
    >>> network = load_weights(shipped_weights("prior-grey"))
    >>> DenoiserPrior.of(network, "mine", (0.004, 1.5)).domain.mean
    0.45
    """

    network: Denoiser
    name: str
    domain: Domain
    noise_levels: tuple[float, float]

    @staticmethod
    def of(network: Denoiser, name: str, noise_levels: tuple[float, float]) -> DenoiserPrior:
        """The prior of a network, whose domain follows from its configuration.

        Args:
            network: the noise estimator.
            name: the name of the weights, for messages.
            noise_levels: the least and the largest sigma it was trained for.

        Returns:
            The prior, for images that are as likely under any flip or quarter turn: so were the crops of its training.
        """
        domain = Domain(network.unet.config.image_channels, network.mean, symmetric=True)
        return DenoiserPrior(network, name, domain, noise_levels)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        _, e = self.network(r - self.domain.mean, sigma)
        result: Tensor = torch.sub(r, sigma * e.clamp(-LARGEST, LARGEST))
        return result


def _recognises(source: Source) -> bool:
    return kind_in(source.path) in ("prior", "latent")


def _load(source: Source) -> AnyPrior:
    path = source.path
    network = load_weights(path)
    if isinstance(network, LatentDiffusion):
        return NetworkLatentPrior(network, path.stem, Domain(network.config.image_channels))
    if not isinstance(network, Denoiser):
        raise InputError(f"{str(path)!r} is not a prior", "train one with `idm train --preset prior-grey`")
    return DenoiserPrior.of(network, path.stem, _trained_levels(path, network.training_record))


def _trained_levels(path: Path, record: Mapping[str, Any]) -> tuple[float, float]:
    """The noise levels of a training, by its record.

    Raises:
        InputError: the record gives no range of levels.
    """
    try:
        training = record.get("config", {}).get("training", {})
        low, high = float(training.get("sigma_min", UNNAMED[0])), float(training.get("sigma_max", UNNAMED[1]))
    except (AttributeError, TypeError, ValueError, OverflowError):
        low = high = 0.0
    if not 0 < low < high < math.inf:
        raise InputError(f"{str(path)!r} has a record of its training that cannot be read", "make it with `idm train`")
    return low, high


FORMAT = PriorFormat(_recognises, _load)
