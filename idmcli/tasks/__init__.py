"""Tasks: what is measured. One module or folder per task, whose ``TASK`` says all that others need to know of it."""

from __future__ import annotations

import pkgutil
from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

from idmcli.errors import InputError
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Operator

__all__ = ["Amount", "OperatorOptions", "Shape", "Task", "build_operator", "find", "kinds", "task_of"]

SHARED = ("base", "kernels", "masks", "ratios")  # modules of this folder that are no task


def kinds() -> list[str]:
    """The names of all tasks."""
    return [module.name for module in pkgutil.iter_modules(__path__) if module.name not in SHARED]


def find(kind: str) -> Task[Any]:
    """The task of that name; LookupError if there is none."""
    if kind not in kinds():
        raise LookupError(kind)
    task: Task[Any] = import_module(f"{__name__}.{kind}").TASK
    return task


def task_of(operator: Operator) -> Task[Any]:
    """The task that an operator belongs to."""
    return find(operator.kind)


def build_operator(spec: Mapping[str, Any], arrays: Mapping[str, Tensor] | None = None) -> Operator:
    """The operator that ``to_spec()`` and ``arrays()`` describe.

    Raises:
        InputError: the kind is unknown, a key or array is missing, unknown, of a wrong type or out of range,
            or a checksum in the specification does not match what was made here.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in kinds():
        raise InputError(f"the operator kind is {kind!r}", f"known kinds: {', '.join(kinds())}")
    return find(kind).operator_type().from_spec(spec, arrays or {})
