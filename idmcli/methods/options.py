"""Options of methods, from the values of [solver]."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from difflib import get_close_matches
from typing import Any

from idmcli import solvers
from idmcli.config import SolverConfig, check_value
from idmcli.errors import ConfigError
from idmcli.solvers import Solver


def check_options(settings: SolverConfig, methods: Sequence[str | None] = (None,)) -> None:
    """Raise ConfigError for what is wrong with [solver], as far as that can be told before anything is measured.

    Args:
        settings: [solver].
        methods: what it is for; None for the method it names, or else the default of the task.
    """
    for name in methods:
        if name or settings.method:
            read_options(solvers.find(name or settings.method or ""), settings.options)
            continue
        known = {option.name for name in solvers.names() for option in fields(solvers.find(name).options)}
        for key in settings.options.keys() - known:
            close = get_close_matches(key, known, n=1)
            raise ConfigError(
                f"no method has an option solver.{key}",
                f"did you mean solver.{close[0]}?" if close else "`idm methods` lists the options of each method",
            )


def read_options(solver: Solver, values: Mapping[str, Any]) -> Any:
    """The options of a method from the values of [solver].

    Raises:
        ConfigError: naming every value that the method has no option for, or that is out of range.
    """
    known = [field.name for field in fields(solver.options)]
    problems, found = [], {}
    for key, value in values.items():
        if key not in known:
            has = f"it has {', '.join(known)}" if known else "it has none"
            problems.append(f"method {solver.name} has no option solver.{key}; {has}")
            continue
        found[key], problem = check_value(solver.options, key, value)
        problems += [f"solver.{problem}"] if problem else []
    if problems:
        raise ConfigError("\n".join(problems), "`idm methods` lists the options of each method")
    return solver.options(**found)
