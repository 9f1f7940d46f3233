"""Checks shared by the operator specifications: keys, types, sizes, seeds and checksums."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

import torch
from torch import Tensor

from idmcli.errors import InputError

Types = tuple[type | None, ...]


def check_keys(
    name: str, values: Mapping[str, Any], required: Mapping[str, Types], optional: Mapping[str, Types]
) -> None:
    """Raise InputError, naming the key, for an unknown or missing key or a value of a wrong type.

    Types are the plain JSON ones (``None`` for null); an integer passes for a float, a boolean is no integer.
    """
    known = {**required, **optional}
    for key in values:
        if key not in known:
            close = get_close_matches(str(key), known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"
            raise InputError(f"the {name} has an unknown key {key!r}", hint)
    for key in required:
        if key not in values:
            raise InputError(f"the {name} has no key {key!r}", f"required keys: {', '.join(sorted(required))}")
    for key, value in values.items():
        if not any(_is(value, t) for t in known[key]):
            names = " or ".join("null" if t is None else t.__name__ for t in known[key])
            raise InputError(f"the key {key!r} of the {name} is {value!r}", f"it must be of type {names}")


def _is(value: object, wanted: type | None) -> bool:
    if wanted is None or isinstance(value, bool):
        return value is None if wanted is None else wanted is bool
    return isinstance(value, (int, float) if wanted is float else wanted)


def check_arrays(name: str, arrays: Mapping[str, Tensor], expected: Iterable[str]) -> None:
    """Raise InputError unless ``arrays`` holds exactly the ``expected`` names."""
    wanted = set(expected)
    for key in wanted - set(arrays):
        raise InputError(f"the {name} needs the array {key!r}", "it is stored with the measurements")
    for key in set(arrays) - wanted:
        raise InputError(f"the {name} has no use for the array {key!r}", "remove it, or correct the specification")


def check_image_shape(shape: Iterable[Any]) -> tuple[int, int, int]:
    """(C, H, W) as integers >= 1."""
    sizes = tuple(shape)
    if len(sizes) != 3 or not all(_is(n, int) and n >= 1 for n in sizes):
        raise InputError(f"the image shape is {list(sizes)}", "it must be three integers >= 1: channels, height, width")
    return sizes


def check_seed(name: str, seed: Any) -> int:
    """A seed in [0, 2^32)."""
    if not _is(seed, int) or not 0 <= seed < 2**32:
        raise InputError(f"the {name} is {seed!r}", "it must be an integer from 0 to 4294967295")
    return int(seed)


def check_fraction(name: str, value: Any) -> float:
    """A number in (0, 1]."""
    if not _is(value, float) or not 0 < value <= 1 or not math.isfinite(value):
        raise InputError(f"the {name} is {value!r}", "it must be greater than 0 and at most 1")
    return float(value)


def digest(t: Tensor) -> str:
    """The sha256 of a tensor's bytes, little-endian and in C order."""
    array = t.detach().cpu().contiguous().resolve_conj().numpy()
    return hashlib.sha256(array.astype(array.dtype.newbyteorder("<"), copy=False).tobytes()).hexdigest()


def check_digest(name: str, t: Tensor, expected: str | None) -> None:
    """Raise InputError unless the tensor has the sha256 recorded in a specification (None: none recorded)."""
    if expected is not None and (found := digest(t)) != expected:
        raise InputError(
            f"the {name} is not the one of the specification (sha256 {found[:12]}..., not {expected[:12]!r}...)",
            f"if a seed made it, this machine or numpy generates another {name}: store it with the measurements",
        )


def finite(name: str, t: Tensor) -> None:
    """Raise InputError for NaN or infinity."""
    if not bool(torch.isfinite(t).all()):
        raise InputError(f"the {name} holds NaN or infinity", "correct the array")
