"""Operators by their kind, of idm and of other packages, and how a specification becomes an operator.

A package adds an operator, which measurement files can then hold, by an entry point in its ``pyproject.toml``::

    [project.entry-points."idmcli.operators"]
    my-kind = "my_package:MyOperator"

The class has ``kind = "my-kind"``, :meth:`~idmcli.operators.Operator.to_spec` and
:meth:`~idmcli.operators.Operator.from_spec`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import Operator
from idmcli.plugins import OPERATORS


def build_operator(spec: Mapping[str, Any], arrays: Mapping[str, Tensor] | None = None) -> Operator:
    """The operator that ``to_spec()`` and ``arrays()`` describe.

    Raises:
        InputError: the kind is unknown, a key or array is missing, unknown, of a wrong type or out of range,
            or a checksum in the specification does not match what was made here.
    """
    return operator_class(spec).from_spec(spec, arrays or {})


def operator_class(spec: Mapping[str, Any]) -> type[Operator]:
    """The class of the operator that a specification describes; InputError if its kind is not known."""
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in OPERATORS.names():
        raise InputError(f"the operator kind is {kind!r}", f"known kinds: {', '.join(OPERATORS.names())}")
    return cast(type[Operator], OPERATORS.find(kind))
