"""The formats of files and folders that load as a prior, of idm and of installed packages.

A package adds a format by an entry point in its ``pyproject.toml``, and idm then takes such files wherever it takes a
prior, ``--prior their.file`` for example::

    [project.entry-points."idmcli.priors"]
    their-format = "their_package:FORMAT"

``FORMAT`` is a :class:`PriorFormat`. The formats of idm are tried first, in the order of
:data:`idmcli.plugins.PRIORS`, and then the formats of packages, in the order of their names. The first format that
recognises a file and does not refuse it loads it. A package can therefore take files that idm refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from torch import Tensor

from idmcli.errors import ConfigError, IdmError, InputError
from idmcli.models.tensors import PICKLES, read_tensors
from idmcli.plugins import PRIORS
from idmcli.priors.base import NetworkPrior
from idmcli.priors.latent import NetworkLatentPrior

AnyPrior = NetworkPrior | NetworkLatentPrior


class Source:
    """A file or a folder, read once for all formats.

    Attributes:
        path: where it is.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def tensors(self) -> dict[str, Tensor]:
        """The state dict in it, without what training in parallel puts before names; empty if it holds none.

        Raises:
            InputError: it is a pickle that is damaged, or holds more than named tensors.
        """
        if isinstance(self._content, InputError):
            raise self._content
        return self._content

    @cached_property
    def _content(self) -> dict[str, Tensor] | InputError:
        try:
            tensors = read_tensors(self.path) if self.path.is_file() else {}
        except InputError as refusal:
            return refusal if self.path.suffix in PICKLES else {}
        return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


@dataclass(frozen=True)
class PriorFormat:
    """A kind of file or folder that holds a prior.

    Attributes:
        recognises: whether a source is of this kind, by its content. It is asked about files of every sort, also about
            damaged ones and such as do not exist.
        load: the prior in a source of this kind, whose ``network`` is moved to the device that computes. It raises an
            :class:`~idmcli.errors.InputError` for a source that is damaged, and for one that idm cannot use.

    A format for text files with one number, the weight that the noisy image has in what is returned:

    >>> from idmcli.priors import FunctionPrior
    >>> def load(source):
    ...     weight = float(source.path.read_text())
    ...     return FunctionPrior(lambda noisy, sigma: weight * noisy, name=source.path.stem)
    >>> FORMAT = PriorFormat(recognises=lambda source: source.path.suffix == ".weight", load=load)
    """

    recognises: Callable[[Source], bool]
    load: Callable[[Source], AnyPrior]


def format_names() -> Sequence[str]:
    """The names of all formats, in the order in which they are tried.

    >>> format_names()[:3]
    ['idm', 'diffusers-latents', 'diffusers-pixels']
    """
    return PRIORS.in_order()


def load_prior(path: str | Path) -> AnyPrior | None:
    """The prior in a weights file or a model folder; None if no format recognises one.

    Raises:
        InputError: it is damaged, does not fit its own description, or is of a kind that idm does not take, and no
            other format takes it.
        ConfigError: the format of another package cannot be loaded or fails.
        NumericalError: a weight is not finite.

    >>> from idmcli.models import shipped_weights
    >>> load_prior(shipped_weights("prior-mri")).name
    'prior-mri'
    """
    source, refusals = Source(Path(path)), list[InputError]()
    for name in format_names():
        try:
            prior = _load(name, source)
        except InputError as refusal:  # a format after this one may take it
            refusals.append(refusal)
            continue
        if prior is not None:
            return prior
    if refusals:
        raise refusals[0]
    return None


def is_prior(path: str | Path) -> bool:
    """Whether a file or a folder is of a format that loads as a prior; it may be damaged.

    Raises:
        InputError: what would identify it is damaged.
        ConfigError: the format of another package cannot be loaded or fails.

    >>> is_prior("of-no-format.txt")
    False
    """
    source = Source(Path(path))
    return any(_recognises(name, source) for name in format_names())


def _load(name: str, source: Source) -> AnyPrior | None:
    """The prior in a source by the format of that name; None if the format does not recognise it."""
    if not _recognises(name, source):
        return None
    format: PriorFormat = PRIORS.find(name)
    with _naming_the_package(name, source):
        prior = format.load(source)
        if not isinstance(prior, AnyPrior):
            raise TypeError(f"{type(prior).__name__} is no prior over a network")
    return prior


def _recognises(name: str, source: Source) -> bool:
    format: PriorFormat = PRIORS.find(name)
    with _naming_the_package(name, source):
        return format.recognises(source)


@contextmanager
def _naming_the_package(name: str, source: Source) -> Iterator[None]:
    """Give what another package's format raises, beyond the errors of idm, its name."""
    try:
        yield
    except IdmError:
        raise
    except Exception as error:
        place = PRIORS.others().get(name)
        if place is None:
            raise
        raise ConfigError(
            f"the format {name!r} of {place} failed for {str(source.path)!r}: {type(error).__name__}: {error}",
            "mend or remove the package that offers it",
        ) from error
