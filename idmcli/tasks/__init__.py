"""Tasks: what is measured. One module or folder per task, whose ``TASK`` says all that others need to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idmcli.plugins import TASKS
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from idmcli.operators import Operator

__all__ = ["Amount", "OperatorOptions", "Shape", "Task", "amount", "find", "identity", "kinds"]


def kinds() -> list[str]:
    """The names of all tasks."""
    return TASKS.names()


def find(kind: str) -> Task[Any]:
    """The task of that name; LookupError if there is none."""
    task: Task[Any] = TASKS.find(kind)
    return task


def amount(operator: Operator) -> Amount:
    """How much an operator measures, as its task counts it; measurements per pixel where it has no task."""
    if operator.kind in kinds():
        return find(operator.kind).amount(operator)
    return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % measurements per pixel")


def identity(operator: Operator) -> dict[str, Any]:
    """The properties of an operator that a network trained end to end for it is bound to; JSON-able."""
    own = find(operator.kind).identity(operator) if operator.kind in kinds() else {}
    return {"task": operator.kind, **own}
