"""The tensors beside a specification: their names, their checksums, and how files hold complex ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import torch
from torch import Tensor

from idmcli.errors import InputError


def check_arrays(kind: str, arrays: Mapping[str, Tensor], expected: Iterable[str]) -> None:
    """Raise InputError unless ``arrays`` holds exactly the ``expected`` names.

    Args:
        kind: of the operator that needs them.
        arrays: the tensors by name.
        expected: the names.

    Raises:
        InputError: one is missing, or there is one more.
    """
    wanted = set(expected)
    for key in wanted - set(arrays):
        raise InputError(f"the {kind} specification needs the array {key!r}", "it is stored with the measurements")
    for key in set(arrays) - wanted:
        raise InputError(
            f"the {kind} specification has no use for the array {key!r}", "remove it, or correct the specification"
        )


def storable(t: Tensor) -> Tensor:
    """A tensor as files hold it: complex numbers in double precision as pairs of real ones, (..., 2)."""
    return torch.view_as_real(t.resolve_conj()) if t.dtype == torch.complex128 else t


def restored(t: Tensor, dimensions: int) -> Tensor:
    """The inverse of :func:`storable` for a tensor that has so many dimensions; any other tensor as it is."""
    pairs = t.dtype == torch.float64 and t.ndim == dimensions + 1 and t.shape[-1] == 2
    return torch.view_as_complex(t.contiguous()) if pairs else t


def digest(*tensors: Tensor) -> str:
    """The sha256 of the tensors' bytes one after the other, little-endian and in C order."""
    sha = hashlib.sha256()
    for t in tensors:
        array = t.detach().cpu().contiguous().resolve_conj().numpy()
        sha.update(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes())
    return sha.hexdigest()


def check_digest(name: str, expected: str | None, *tensors: Tensor) -> None:
    """Raise InputError unless the tensors have the sha256 of a specification.

    Args:
        name: what they are, for the message.
        expected: the sha256; None if the specification records none.
        tensors: as for :func:`digest`.

    Raises:
        InputError: they have another one.
    """
    if expected is not None and (found := digest(*tensors)) != expected:
        raise InputError(
            f"the {name} is not the one of the specification (sha256 {found[:12]}..., not {expected[:12]!r}...)",
            f"if a seed made it, this machine or numpy generates another {name}: store it with the measurements",
        )
