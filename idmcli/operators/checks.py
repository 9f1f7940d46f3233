"""Checks that operators share: of shapes, of numbers and of tensors."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from math import prod
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.errors import InputError

MOST_VALUES = 2**40  # of an image, or of a measurement


def tensor_of(values: Tensor | NDArray[Any]) -> Tensor:
    """The values of a NumPy array as a tensor, in their precision; a tensor as it is."""
    return values if isinstance(values, Tensor) else torch.from_numpy(np.ascontiguousarray(values))


def check_image_shape(shape: Any) -> tuple[int, int, int]:
    """(C, H, W) as integers >= 1."""
    sizes = _sizes(shape)
    if sizes is None or len(sizes) != 3:
        found = shape if isinstance(shape, str) or not isinstance(shape, Iterable) else list(shape)
        raise InputError(
            f"the image shape is {shown(found)}", "it must be three integers >= 1: channels, height, width"
        )
    if prod(sizes) > MOST_VALUES:
        raise InputError(f"the image shape is {shown(list(sizes))}", f"it may have at most {MOST_VALUES} values")
    return sizes[0], sizes[1], sizes[2]


def check_shape(name: str, shape: Any) -> tuple[int, ...]:
    """One or more integers >= 1."""
    sizes = _sizes(shape)
    if not sizes or prod(sizes) > MOST_VALUES:
        raise InputError(
            f"the {name} is {shown(shape)}",
            f"it must be integers >= 1, (600,) for example, of at most {MOST_VALUES} values",
        )
    return sizes


def _sizes(shape: Any) -> tuple[int, ...] | None:
    """The sizes if they are a sequence of integers >= 1, or an array of them."""
    shape = shape.tolist() if hasattr(shape, "tolist") else shape
    if not isinstance(shape, Sequence) or isinstance(shape, str | bytes):
        return None
    return tuple(map(int, shape)) if all(is_integer(size) and size >= 1 for size in shape) else None


def is_integer(value: object) -> bool:
    """Whether a value is an integer, of Python or of numpy; booleans are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_number(value: object) -> bool:
    """Whether a value is a real number, of Python or of numpy; booleans are none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def check_integer(name: str, value: Any, least: int, most: int) -> int:
    """An integer in a range, as one of Python.

    Args:
        name: what it is, for the message.
        value: what was given.
        least: the lowest integer allowed.
        most: the highest integer allowed.

    Returns:
        the integer.

    Raises:
        InputError: it is no integer, or out of range.
    """
    if not is_integer(value) or not least <= value <= most:
        raise InputError(f"the {name} is {shown(value)}", f"it must be an integer from {least} to {most}")
    return int(value)


def check_seed(name: str, seed: Any) -> int:
    """A seed in [0, 2^32)."""
    return check_integer(name, seed, 0, 2**32 - 1)


def check_fraction(name: str, value: Any) -> float:
    """A number in (0, 1]."""
    if not is_number(value) or not 0 < value <= 1:
        raise InputError(f"the {name} is {shown(value)}", "it must be greater than 0 and at most 1")
    return float(value)


def check_positive(name: str, value: Any) -> float:
    """A finite number > 0."""
    if not is_number(value) or not 0 < value < math.inf:
        raise InputError(f"the {name} is {shown(value)}", "it must be a number greater than 0")
    return float(value)


def check_finite(name: str, t: Tensor) -> None:
    """Raise InputError for NaN or infinity."""
    if not bool(torch.isfinite(t).all()):
        raise InputError(f"the {name} holds NaN or infinity", "correct the array")


def shown(value: object) -> str:
    """A value as it is written in Python, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
