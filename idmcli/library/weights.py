"""What a weights file holds, and whom it serves."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import nn

from idmcli import solvers, tasks
from idmcli.errors import ConfigError
from idmcli.models import ConditionalDenoiser, Network, load_weights
from idmcli.operators import Operator
from idmcli.priors import NetworkLatentPrior, NetworkPrior, format_names, load_prior

Trained = Network | ConditionalDenoiser  # for one kind of measurement
Loaded = NetworkPrior | NetworkLatentPrior | Trained
Given = Mapping[solvers.Weights, Path | None]


def load_network(path: Path) -> Trained:
    """The network of a weights file that holds no prior."""
    model = load_weights(path)
    assert isinstance(model, Trained)
    return model


def module_of(weights: Loaded) -> nn.Module:
    """The network in what was loaded."""
    return weights if isinstance(weights, Trained) else weights.network


def read_prior(path: Path) -> NetworkPrior | NetworkLatentPrior:
    """The prior in a file or a folder.

    Raises:
        InputError: there is none, or it is damaged.
    """
    prior = load_prior(path)
    if prior is None:
        raise no_prior(path)
    return prior


def no_prior(path: Path) -> ConfigError:
    """The error for a file that holds no prior."""
    return ConfigError(
        f"{str(path)!r} is no prior that idm knows",
        f"it knows those of {', '.join(format_names())}; --weights takes networks",
    )


def role_of(weights: Loaded) -> solvers.Weights:
    """What a weights file holds, as methods need it."""
    if isinstance(weights, Network):
        return "network"
    if isinstance(weights, ConditionalDenoiser):
        return "conditional"
    return "latent" if isinstance(weights, NetworkLatentPrior) else "prior"


def check_trained_for(path: Path, network: Trained, operator: Operator, noise: float = 0.0) -> None:
    """Raise ConfigError if a network was trained for another kind of measurement, as far as its file says."""
    trained, task = network.trained_for or {}, tasks.task_of(operator)
    there = {"task": trained.get("task"), **trained.get("operator", {})}
    here = {"task": task.kind, **task.identity(operator)}
    rows = [(key, there[key], value) for key, value in here.items() if there.get(key) not in (None, value)]
    if rows:
        width = max(len(key) for key, _, _ in rows)
        table = "\n".join(f"{key:<{width}}  weights: {their}, here: {value}" for key, their, value in rows)
        raise ConfigError(
            f"{str(path)!r} is made for other measurements:\n{table}",
            f"train a network for these, or leave out --weights for --method {task.default_method(operator, noise)}",
        )
