"""Weights as methods take them, and whom they serve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import nn

from idmcli import learned, solvers, tasks
from idmcli.errors import ConfigError
from idmcli.methods.defaults import defaults_of
from idmcli.models import Learned, load_weights
from idmcli.operators import Operator
from idmcli.priors import NetworkLatentPrior, format_names, load_prior
from idmcli.solvers import Solver


@dataclass(frozen=True)
class Weights:
    """Loaded weights.

    Attributes:
        kind: of model, a name in :data:`idmcli.plugins.MODELS`.
        name: for messages and provenance.
        model: what solvers get: a prior, a latent prior, or a learned model.
        network: all networks in it.
        parts: the networks in it that a method calls, and whose calls count as evaluations.
    """

    kind: str
    name: str
    model: Any
    network: nn.Module
    parts: Sequence[nn.Module]


def read_prior(path: Path) -> Weights | None:
    """The prior in a file or a folder; None if it holds something else.

    Raises:
        InputError: it is damaged.
        NumericalError: a weight is not finite.
    """
    prior = load_prior(path)
    if prior is None:
        return None
    if isinstance(prior, NetworkLatentPrior):
        return Weights("latent", prior.name, prior, prior.network, prior.parts)
    return Weights("prior", prior.name, prior, prior.network, [prior.network])


def read_weights(path: Path) -> Weights:
    """The prior or the learned model in a file or a folder; errors as :func:`read_prior`."""
    prior = read_prior(path)
    if prior is not None:
        return prior
    model = load_weights(path)
    return Weights(model.kind, path.stem, model, model, [model])


def no_prior(path: Path) -> ConfigError:
    """The error for a file that holds no prior."""
    return ConfigError(
        f"{str(path)!r} is no prior that idm knows",
        f"--prior takes files of {', '.join(format_names())}; --weights takes networks",
    )


def wrong_weights(solver: Solver, kind: str, path: Path, option: str, given: Mapping[str, Path]) -> ConfigError:
    """The error for a method that does not run on weights of a kind.

    Args:
        solver: the method.
        kind: of the weights.
        path: of the weights.
        option: that named them, "weights" or "prior".
        given: all weights that were named, by kind.
    """
    if solver.weights is None:
        return ConfigError(
            f"--method {solver.name} takes no {option}", f"leave out --{option} or choose another method"
        )
    needs = solvers.need_text(solver.weights)
    if solver.weights in given:
        return ConfigError(f"--method {solver.name} takes only {needs}", f"leave out --{option}")
    return ConfigError(
        f"--method {solver.name} needs {needs}, and {str(path)!r} is {solvers.need_text(kind)}",
        f"methods for it: {', '.join(solvers.running_on(kind))}",
    )


def check_purpose(path: Path, model: Learned, operator: Operator, noise: float = 0.0) -> None:
    """Raise ConfigError if a model was trained for another kind of measurement, as far as its file says.

    Args:
        path: of its file.
        model: of a kind that serves one kind of measurement.
        operator: what measured.
        noise: of the measurements, for images in 0..1.
    """
    if not learned.find(model.kind).for_measurements:
        return
    trained, here = model.trained_for or {}, tasks.identity(operator)
    there = {"task": trained.get("task"), **trained.get("operator", {})}
    rows = [(key, there[key], value) for key, value in here.items() if there.get(key) not in (None, value)]
    if rows:
        width = max(len(key) for key, _, _ in rows)
        table = "\n".join(f"{key:<{width}}  weights: {their}, here: {value}" for key, their, value in rows)
        method = defaults_of(operator).method(operator, noise)
        raise ConfigError(
            f"{str(path)!r} is made for other measurements:\n{table}",
            f"train a network for these, or leave out --weights for --method {method}",
        )
