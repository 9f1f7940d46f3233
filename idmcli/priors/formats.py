"""The formats of weights files that load as a prior."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from idmcli.errors import InputError
from idmcli.models import Denoiser, load_weights
from idmcli.models.checkpoints import kind_in
from idmcli.priors.base import NetworkPrior
from idmcli.priors.network import DenoiserPrior

UNSAID = (0.004, 1.5)  # noise levels of files of idm that do not name theirs


class Format(NamedTuple):
    """A kind of weights file.

    Attributes:
        name: for people.
        recognises: whether a file is of this kind, by its content; never raises for a file that is not.
        load: the prior in such a file.
    """

    name: str
    recognises: Callable[[Path], bool]
    load: Callable[[Path], NetworkPrior]


def load_prior(path: Path) -> NetworkPrior | None:
    """The prior in a weights file; None if no format recognises one.

    Raises:
        InputError: the file is damaged or does not fit its own description.
        NumericalError: a weight is not finite.
    """
    return next((format.load(path) for format in FORMATS if format.recognises(path)), None)


def _load_idm(path: Path) -> DenoiserPrior:
    network = load_weights(path)
    if not isinstance(network, Denoiser):
        raise InputError(f"{str(path)!r} is not a prior", "train one with `idm train --preset prior-tiny`")
    training = network.training_record.get("config", {}).get("training", {})
    levels = tuple(training.get(key, level) for key, level in zip(("sigma_min", "sigma_max"), UNSAID, strict=True))
    return DenoiserPrior.of(network, path.stem, (float(levels[0]), float(levels[1])))


FORMATS: Sequence[Format] = (Format("idm", lambda path: kind_in(path) == "prior", _load_idm),)
