"""Tasks: what is measured. One module or folder per task, whose ``TASK`` says all that others need to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from idmcli.plugins import TASKS
from idmcli.tasks.base import Amount, OperatorOptions, Seen, Shape, Task, seen_through_inverse

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Operator

__all__ = [
    "Amount",
    "OperatorOptions",
    "Seen",
    "Shape",
    "Task",
    "amount",
    "find",
    "identity",
    "kinds",
    "seen",
    "seen_through_inverse",
]


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


def seen(operator: Operator, y: Tensor) -> Seen:
    """Measurements as an image to look at: ``A+ y`` or a rough inverse if no task has the operator; y: a batch of 1."""
    if operator.kind in kinds():
        return find(operator.kind).seen(operator, y)
    return seen_through_inverse(operator, y)


def identity(operator: Operator) -> dict[str, Any]:
    """The properties of an operator that a network trained end to end for it is bound to; JSON-able."""
    own = find(operator.kind).identity(operator) if operator.kind in kinds() else {}
    return {"task": operator.kind, **own}
