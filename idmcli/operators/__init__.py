"""Measurement operators y = A x: one class per task, a registry, and noise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import LinearOperator, Solution, Spec
from idmcli.operators.compressed_sensing import CompressedSensing
from idmcli.operators.conjugate_gradient import conjugate_gradient
from idmcli.operators.inpainting import Inpainting
from idmcli.operators.mri import MRI
from idmcli.operators.noise import add_noise
from idmcli.operators.tomography import ParallelBeamCT

__all__ = [
    "MRI",
    "OPERATORS",
    "CompressedSensing",
    "Inpainting",
    "LinearOperator",
    "ParallelBeamCT",
    "Solution",
    "Spec",
    "add_noise",
    "build",
    "conjugate_gradient",
]

OPERATORS: dict[str, type[LinearOperator]] = {
    operator.kind: operator for operator in (CompressedSensing, Inpainting, MRI, ParallelBeamCT)
}


def build(spec: Mapping[str, Any], arrays: Mapping[str, Tensor] | None = None) -> LinearOperator:
    """The operator that ``to_spec()`` and ``arrays()`` describe.

    Raises:
        InputError: the kind is unknown, a key or array is missing, unknown, of a wrong type or out of range,
            or a checksum in the specification does not match what was made here.
    """
    kind = spec.get("kind")
    if not isinstance(kind, str) or kind not in OPERATORS:
        raise InputError(f"The operator kind is {kind!r}.", f"Known kinds: {', '.join(sorted(OPERATORS))}.")
    return OPERATORS[kind].from_spec(spec, arrays or {})
