"""The output of ``--print-config``: the sections that a command uses, with the method that would reconstruct."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from idmcli import tasks
from idmcli.cli.output import Output
from idmcli.errors import InputError, NumericalError

if TYPE_CHECKING:
    from idmcli.config import LoadedConfig

MEASURING = ("task", "operator")
RECONSTRUCTING = (*MEASURING, "solver")
TRAINING = (*MEASURING, "model", "training")
SIDE = 64  # of the picture that the default method is looked up for


def show_config(output: Output, loaded: LoadedConfig, sections: Sequence[str]) -> None:
    """Print the sections that a command uses.

    Args:
        output: where to.
        loaded: the configuration.
        sections: their names.
    """
    from idmcli.config import render_with_sources, sections_of

    content = {name: values for name, values in sections_of(loaded.config).items() if name in sections}
    sources = {key: source for key, source in loaded.sources.items() if key.partition(".")[0] in sections}
    output.result({"config": content, "sources": sources}, render_with_sources(loaded, sections).split("\n"))


def with_method(loaded: LoadedConfig, weights: Path | None, prior: str | None, name: str | None = None) -> LoadedConfig:
    """The configuration with the method that would reconstruct a picture, and all of its options.

    Args:
        loaded: the configuration.
        weights: what --weights names.
        prior: what --prior names.
        name: of the method; the one in [solver], or else the default, if None.

    Returns:
        The configuration as it is where that cannot be told without a picture, as for masks and matrices of one size,
        or where the command would refuse it.
    """
    from idmcli.config import SolverConfig
    from idmcli.devices import choose_device
    from idmcli.methods import Methods

    config = loaded.config
    try:
        shape = (config.task.channels or 1, SIDE, SIDE)
        operator = tasks.find(config.task.kind).operator(config.operator, shape, "")
        methods = Methods(choose_device("cpu"))
        method = methods.method(name, operator, weights, config.solver, prior=prior, noise=config.operator.noise)
    except (InputError, NumericalError):
        return loaded
    options = asdict(method.options)
    solver = SolverConfig(method.solver.name, config.solver.seed, options)
    sources = {f"solver.{key}": f"default of {solver.method}" for key in options} | loaded.sources
    if config.solver.method is None:
        sources["solver.method"] = "--method" if name else f"default of task {config.task.kind}"
    return replace(loaded, config=replace(config, solver=solver), sources=sources)
