"""The formats of weights that load as a prior."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor

from idmcli.errors import InputError
from idmcli.models import Denoiser, load_weights
from idmcli.models.checkpoints import kind_in
from idmcli.models.latent import LatentDiffusion
from idmcli.models.tensors import PICKLES, read_tensors
from idmcli.priors.base import Domain, NetworkPrior
from idmcli.priors.latent import NetworkLatentPrior
from idmcli.priors.latent_pipelines import is_latent, load_latent
from idmcli.priors.layouts import LAYOUTS
from idmcli.priors.network import DenoiserPrior
from idmcli.priors.pipelines import is_pipeline, load_pipeline

Loaded = NetworkPrior | NetworkLatentPrior
UNSAID = (0.004, 1.5)  # noise levels of files of idm that do not name theirs


class Source:
    """A file or a folder, read once for all formats."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The state dict in it, without what training in parallel puts before names; empty if it holds none.

        Raises:
            InputError: it is a pickle that is damaged, or holds more than named tensors.
        """
        try:
            tensors = read_tensors(self.path) if self.path.is_file() else {}
        except InputError:
            if self.path.suffix in PICKLES:
                raise
            return {}
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


class Format(NamedTuple):
    """A kind of weights.

    Attributes:
        name: for people.
        load: the prior in a file or folder of this kind; None for any other.
    """

    name: str
    load: Callable[[Source], Loaded | None]


def load_prior(path: Path) -> Loaded | None:
    """The prior in a weights file or a model folder; None if no format recognises one.

    Raises:
        InputError: it is damaged, does not fit its own description, or is of a kind that idm does not take.
        NumericalError: a weight is not finite.
    """
    source = Source(path)
    return next((prior for format in FORMATS if (prior := format.load(source)) is not None), None)


def _load_idm(source: Source) -> Loaded | None:
    path = source.path
    if kind_in(path) not in ("prior", "latent"):
        return None
    network = load_weights(path)
    if isinstance(network, LatentDiffusion):
        return NetworkLatentPrior(network, path.stem, Domain(network.config.image_channels))
    if not isinstance(network, Denoiser):
        raise InputError(f"{str(path)!r} is not a prior", "train one with `idm train --preset prior-grey`")
    return DenoiserPrior.of(network, path.stem, _levels(path, network.training_record))


def _levels(path: Path, record: Mapping[str, Any]) -> tuple[float, float]:
    """The noise levels of a training, by the record of it.

    Raises:
        InputError: they are none.
    """
    try:
        training = record.get("config", {}).get("training", {})
        low, high = float(training.get("sigma_min", UNSAID[0])), float(training.get("sigma_max", UNSAID[1]))
    except (AttributeError, TypeError, ValueError, OverflowError):
        low = high = 0.0
    if not 0 < low < high < math.inf:
        raise InputError(f"{str(path)!r} has a record of its training that cannot be read", "make it with `idm train`")
    return low, high


def _load_pipeline(source: Source) -> Loaded | None:
    if not is_pipeline(source.path):
        return None
    return load_latent(source.path) if is_latent(source.path) else load_pipeline(source.path)


def _load_state_dict(name: str, source: Source) -> NetworkPrior | None:
    return LAYOUTS[name](source.path, source.tensors)


FORMATS: Sequence[Format] = (
    Format("idm", _load_idm),
    Format("diffusers", _load_pipeline),
    *(Format(name, partial(_load_state_dict, name)) for name in LAYOUTS),
)
