"""The methods and their options."""

from __future__ import annotations

import inspect

from docs.generate.markdown import joined
from docs.generate.options import options_table
from idmcli import solvers
from idmcli.methods.defaults import ANY, Defaults
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
        parts += [f"```text\n{inspect.cleandoc(solver.run.__doc__ or '')}\n```" if solver.run.__doc__ else ""]
    return joined(*parts)


def _defaults() -> str:
    rows = [_default(kind, DEFAULTS.find(kind)) for kind in DEFAULTS.names()]
    return "\n".join([*rows, _default("operators of your own", ANY)])


def _default(kind: str, defaults: Defaults) -> str:
    choices = [f"`{each.method}`" + (f" ({each.case})" if each.case else "") for each in defaults.choices]
    options = [
        f"`{method}` has " + ", ".join(f"`{key}` = {value}" for key, value in values.items())
        for method, values in defaults.options.items()
    ]
    return f"- **{kind}**: {', then '.join(choices)}." + (f" Here {'; '.join(options)}." if options else "")
