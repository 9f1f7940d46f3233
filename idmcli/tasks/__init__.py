"""Tasks: what is measured. One module or folder per task, whose ``TASK`` says all that others need to know of it."""

from __future__ import annotations

import pkgutil
from importlib import import_module
from typing import TYPE_CHECKING, Any

from idmcli.tasks.base import Amount, NoTask, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from idmcli.operators import Operator

__all__ = ["Amount", "OperatorOptions", "Shape", "Task", "find", "kinds", "task_of"]

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
    """The task that an operator belongs to; :class:`~idmcli.tasks.base.NoTask` if its kind is none."""
    return find(operator.kind) if operator.kind in kinds() else NoTask(operator.kind)
