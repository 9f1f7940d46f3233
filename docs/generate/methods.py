"""The methods and their options."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from docs.generate.markdown import joined, prose
from docs.generate.options import options_table
from idmcli import solvers
from idmcli.methods.defaults import ANY, Choice, Defaults
from idmcli.plugins import DEFAULTS


def page() -> str:
    """Every method."""
    parts = ["# Methods", "`--method NAME` selects a method. `--set solver.KEY=VALUE` sets an option of it."]
    parts += ["[Choose a method](../howto/choose-a-method.md) compares them.", "## Defaults", _defaults()]
    for name in solvers.names():
        solver = solvers.find(name)
        parts += [f"## {name}", f"{solver.summary[:1].upper()}{solver.summary[1:]}."]
        parts += [f"It needs {'; '.join(solvers.needs_of(solver)) or 'nothing'}."]
        parts += ["It samples: `--samples N` draws several." if solver.samples else ""]
        parts += [options_table(solver.options, prefix="solver.") or "It has no options."]
        parts += [f"```text\n{prose(solver.run.__doc__)}\n```" if solver.run.__doc__ else ""]
    return joined(*parts)


def _defaults() -> str:
    rows = [_default(kind, DEFAULTS.find(kind)) for kind in DEFAULTS.names()]
    return "\n".join([*rows, _default("operators of your own", ANY)])


def _default(kind: str, defaults: Defaults) -> str:
    choices = [f"`{each.method}`{_condition(each)}" for each in defaults.choices]
    options = [f"`{method}` has {_settings(values)}" for method, values in defaults.options.items()]
    return f"- **{kind}**: {', else '.join(choices)}." + (f" Here {'; '.join(options)}." if options else "")


def _condition(choice: Choice) -> str:
    """Where a choice serves, and its options there."""
    parts = [part for part in (choice.case, _settings(choice.options)) if part]
    return f" ({': '.join(parts)})" if parts else ""


def _settings(values: Mapping[str, Any]) -> str:
    return ", ".join(f"`{key}` = {value}" for key, value in values.items())
