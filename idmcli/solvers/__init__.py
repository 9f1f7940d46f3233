"""Solvers: from a problem y = A x + n to images. One file per method, whose name is the file's.

Every other module of this folder defines ``SOLVER``. Its ``run`` reads like the method's equations, in one
convention: images in [0, 1], noise levels in the same units, ``r = x + sigma n``; in latent space latents z of about
unit variance and ``r = z + sigma n``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Protocol

from idmcli.errors import ConfigError
from idmcli.plugins import MODELS, SOLVERS

if TYPE_CHECKING:
    from torch import Generator, Tensor

    from idmcli.operators import Operator, Problem

NEEDS: Mapping[str, str] = {
    "gradient": "a gradient through the prior",
    "linear": "a linear operator",
    "real": "an operator on real images",
    "tight": "an operator with A A^T = I",
    "mixing": "an operator that mixes all pixels at random (cs with a global permutation)",
    "spectrum": "an operator whose singular values are known",
    "rays": "an operator of line integrals (ct, fan)",
}
"""The needs of a method beside weights, whose kinds are the names in :data:`idmcli.plugins.MODELS`."""

ALSO_KNOWN_AS: Mapping[str, str] = {"stmp": "vamp"}  # score-based turbo message passing, arXiv 2503.22140


class Progress(Protocol):
    """Told the steps done and the steps in all and, by blind methods, what they make of the operator's unknown number
    so far."""

    def __call__(self, done: int, total: int, unknown: float | None = None, /) -> None: ...


@dataclass(frozen=True)
class NoOptions:
    """The options of a method that has none."""


@dataclass(frozen=True)
class Solver:
    """A way to reconstruct.

    Attributes:
        name: what ``--method`` takes.
        summary: one line for the user, with the source.
        run: ``(problem, prior, options, generator, progress)`` to images (B, C, H, W), not clipped; the prior is None
            for methods that need none, and the network, or the conditional noise estimator, for those that need one.
        needs: what it cannot do without: names in :data:`NEEDS`, and a kind of learned model.
        options: a dataclass; ``--set solver.NAME=VALUE`` reaches its fields.
        samples: whether it draws from the posterior, so that runs with other generators differ.
        meets: what its results meet wherever it can be trusted: "measurements" (A x = y up to the noise), "others" (a
            second run without some of the measurements, where the operator can do without, foretells these and makes
            the same of what neither run knows), "range" (values in 0..1), and "roughness" (the image is not much
            rougher than A+ y, which networks without a noise level may make of smooth images). Where they do not, a
            user is warned.
        quick: the largest values of some options in the second run.
    """

    name: str
    summary: str
    run: Callable[[Problem, Any, Any, Generator, Progress], Tensor]
    needs: frozenset[str] = frozenset({"linear"})
    options: type = NoOptions
    samples: bool = False
    meets: frozenset[str] = frozenset({"measurements", "range"})
    quick: Mapping[str, int] = field(default_factory=dict, hash=False)

    @property
    def weights(self) -> str | None:
        """The kind of learned model it runs on; None if it needs none."""
        return next((kind for kind in MODELS.names() if kind in self.needs), None)


def names() -> list[str]:
    """The names of all methods, without importing them."""
    return SOLVERS.names()


def find(name: str) -> Solver:
    """The method of that name, or published under it.

    Raises:
        ConfigError: there is none; the hint names the closest.
    """
    name = ALSO_KNOWN_AS.get(name, name)
    if name not in names():
        close = get_close_matches(name, names(), n=1)
        known = f"`idm methods` describes {', '.join(names())}"
        raise ConfigError(f"--method {name!r} is unknown", f"did you mean {close[0]}?" if close else known)
    solver: Solver = SOLVERS.find(name)
    return solver


def why_not(solver: Solver, operator: Operator) -> str:
    """Why a method cannot reconstruct what an operator measured; empty if it can."""
    missing = [text for need, text in NEEDS.items() if need in solver.needs and not _serves(operator, need)]
    if not missing:
        return ""
    return f"method {solver.name} needs {' and '.join(missing)}, which this {operator.kind} operator is not"


def suitable(operator: Operator) -> Sequence[str]:
    """The names of the methods that can reconstruct what an operator measured."""
    return [name for name in names() if not why_not(find(name), operator)]


def running_on(kind: str) -> Sequence[str]:
    """The names of the methods that run on a kind of learned model."""
    return [name for name in names() if find(name).weights == kind]


def need_text(need: str) -> str:
    """A need for people: "a linear operator", "a prior"."""
    noun: str = NEEDS[need] if need in NEEDS else MODELS.find(need).noun
    return noun


def needs_of(solver: Solver) -> Sequence[str]:
    """All needs of a method for people, weights first."""
    own = [] if solver.weights is None else [solver.weights]
    return [need_text(need) for need in [*own, *(need for need in NEEDS if need in solver.needs)]]


def _serves(operator: Operator, need: str) -> bool:
    """Whether an operator meets a need."""
    from idmcli.operators import LinearOperator, Tomography

    if need == "gradient":
        return True
    if need == "real":
        return not operator.complex_image
    if not isinstance(operator, LinearOperator):
        return False
    padded = operator.padded()
    match need:
        case "tight":
            return padded.tight
        case "mixing":
            return padded.tight and padded.mixing
        case "spectrum":
            return padded.spectrum() is not None
        case "rays":
            return isinstance(operator, Tomography)
        case _:
            return True
