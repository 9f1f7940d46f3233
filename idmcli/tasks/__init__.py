"""Tasks: what is measured. One module or folder per task, whose ``TASK`` says all that others need to know of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from idmcli.errors import InputError
from idmcli.plugins import TASKS
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Operator

__all__ = ["Amount", "OperatorOptions", "Shape", "Task", "build_operator", "find", "kinds", "task_of"]


def kinds() -> list[str]:
    """The names of all tasks."""
    return TASKS.names()


def find(kind: str) -> Task[Any]:
    """The task of that name; LookupError if there is none."""
    task: Task[Any] = TASKS.find(kind)
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
