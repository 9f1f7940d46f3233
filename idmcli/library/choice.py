"""Which method and which weights serve where the user named none."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from idmcli import solvers, tasks
from idmcli.errors import ConfigError
from idmcli.library.weights import Given
from idmcli.models import shipped_weights
from idmcli.operators import Operator
from idmcli.solvers import Solver


def default_method(given: Given, operator: Operator, noise: float) -> str:
    """The best method that takes what was given (README, "Which method")."""
    trained = given["network"] or given["conditional"]
    if trained and (given["prior"] or given["latent"]):
        raise ConfigError("--weights and --prior serve different methods", "choose one with --method")
    if trained:
        return "idm" if given["network"] else "sr3"
    if given["latent"]:
        return "resample"
    best = tasks.task_of(operator).best_methods(operator, noise)
    return best[0] if not given["prior"] else next(name for name in best if solvers.find(name).weights == "prior")


def out_of_the_box(operator: Operator) -> Sequence[Solver]:
    """The methods that reconstruct what an operator measured with what comes with idm."""
    shipped = tasks.task_of(operator).weights
    able = [solvers.find(name) for name in solvers.suitable(operator)]
    return [solver for solver in able if solver.weights is None or solver.weights in shipped]


def not_for(solver: Solver, kind: solvers.Weights, path: Path, option: str, given: Given) -> ConfigError:
    """Why a method does not run on weights of a kind."""
    if solver.weights is None:
        return ConfigError(
            f"--method {solver.name} takes no {option}", f"leave out --{option} or choose another method"
        )
    needs = solvers.NEEDS[solver.weights]
    if given[solver.weights]:
        return ConfigError(f"--method {solver.name} takes {needs} alone", f"leave out --{option}")
    return ConfigError(
        f"--method {solver.name} needs {needs}, and {str(path)!r} is {solvers.NEEDS[kind]}",
        f"methods for it: {', '.join(name for name in solvers.names() if solvers.find(name).weights == kind)}",
    )


def shipped_for(solver: Solver, operator: Operator, noise: float = 0.0) -> Path:
    """The weights that come with idm for a method and what it is to reconstruct."""
    task = tasks.task_of(operator)
    need, colour = solver.weights or "", operator.image_shape[0] == 3
    name = (task.weights.get(f"colour {need}") if colour else None) or task.weights.get(need)
    if name is None and need == "latent":
        raise ConfigError(
            f"no latent prior for --method {solver.name} on task {task.kind} comes with idm",
            "name one with --prior: latent-ct-tiny (of head CT), or a folder of diffusers with an autoencoder",
        )
    if name is None:
        kind = " --set model.kind=sr3" if need == "conditional" else ""
        raise ConfigError(
            f"no weights for --method {solver.name} on task {task.kind} come with idm",
            f"train some with `idm train --preset {task.preset}{kind}` and name them with --weights, or use --method "
            f"{task.default_method(operator, noise)}",
        )
    return shipped_weights(name)
