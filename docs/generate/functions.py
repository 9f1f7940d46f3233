"""The Python interface: a directive of Sphinx's autodoc for each public name."""

from __future__ import annotations

import inspect

import idmcli
from docs.generate.markdown import joined

HEAD = "`import idmcli as idm` has all of these names. [Use idm from Python](../howto/python.md) shows them at work."


def page() -> str:
    """The functions, the classes, and the operators."""
    names = [name for name in idmcli.__all__ if name != "operators"]
    operators = [name for name in idmcli.operators.__all__ if inspect.isclass(getattr(idmcli.operators, name))]
    functions = [name for name in names if inspect.isfunction(getattr(idmcli, name))]
    classes = [name for name in names if name not in functions and name not in operators]
    return joined(
        "# Python",
        HEAD,
        "## Functions",
        *(_directive("autofunction", "idmcli", name) for name in functions),
        "## Classes",
        *(_directive("autoclass", "idmcli", name) for name in classes),
        "## Operators",
        *(_directive("autoclass", "idmcli.operators", name) for name in operators if _documented(name)),
    )


def _documented(name: str) -> bool:
    return issubclass(getattr(idmcli.operators, name), idmcli.Operator)


def _directive(kind: str, module: str, name: str) -> str:
    members = "" if kind == "autofunction" else "\n   :members:"
    return f"```{{eval-rst}}\n.. {kind}:: {module}.{name}{members}\n```"
