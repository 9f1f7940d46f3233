"""Specifications: what describes an operator in JSON, and the checks that operators share."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from math import prod
from numbers import Integral, Real
from typing import Annotated, Any, Self, TypeVar

import torch
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, validate_call
from pydantic_core import ErrorDetails
from torch import Tensor

from idmcli.errors import InputError

T = TypeVar("T")

MOST_VALUES = 2**40  # of an image, or of a measurement

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
TYPES = {  # what pydantic expects, in the words of JSON
    "bool_type": "true or false",
    "dict_type": "an object",
    "float_type": "a number",
    "int_type": "an integer",
    "is_instance_of": "a list",
    "list_type": "a list",
    "sequence_str": "a list",
    "string_type": "a string",
    "too_long": "a list of at most {max_length}",
    "too_short": "a list of at least {min_length}",
}


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
    """The sizes if they are a sequence of integers >= 1."""
    if not isinstance(shape, Sequence) or isinstance(shape, str | bytes):
        return None
    return tuple(map(int, shape)) if all(is_integer(size) and size >= 1 for size in shape) else None


class Specification(BaseModel):
    """The keys of an operator's specification: a subclass declares those that an operator adds, with their types.

    Nothing is converted: an integer passes for a number, and a boolean for a boolean only.

    Example:
        >>> class Wavelets(Specification):
        ...     levels: int
        ...     family: str = "haar"
        >>> Wavelets.read({"kind": "wavelets", "image_shape": [1, 8, 8], "levels": 3}).family
        'haar'
        >>> Wavelets.read({"kind": "wavelets", "image_shape": [1, 8, 8], "level": 3})
        Traceback (most recent call last):
            ...
        idmcli.errors.InputError: the wavelets specification has an unknown key 'level'
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: str
    image_shape: Annotated[tuple[int, int, int], BeforeValidator(check_image_shape)]

    @classmethod
    def read(cls, spec: Mapping[str, Any]) -> Self:
        """The specification with its defaults.

        Raises:
            InputError: a key is unknown, missing or of a wrong type; the message names it.
        """
        try:
            return cls.model_validate(dict(spec))
        except ValidationError as error:
            raise input_error(f"{spec.get('kind')} specification", spec, cls.model_fields, error) from error


def make_described(
    what: str, description: Mapping[str, Any], makers: Mapping[str, Callable[..., T]], *arguments: Any
) -> T:
    """What the function of a description's type makes of the other keys.

    Args:
        what: what it makes, for messages.
        description: ``{"type": NAME, ...}`` with the keyword arguments of the function of that name.
        makers: the functions by name; their annotations say which keys there are, and of which type.
        arguments: the positional arguments of each of them.

    Returns:
        the result of the function.

    Raises:
        InputError: the type or a key is unknown, or a key is missing, of a wrong type or out of range.
    """
    name = description.get("type")
    if not isinstance(name, str) or name not in makers:
        raise InputError(f"the {what} type is {shown(name)}", f"known types: {', '.join(sorted(makers))}")
    options = {key: value for key, value in description.items() if key != "type"}
    strict: Callable[..., T] = _strict(makers[name])
    try:
        return strict(*arguments, **options)
    except ValidationError as error:
        known = [key for key in makers[name].__annotations__ if key != "return"][len(arguments) :]
        raise input_error(f"{name!r} {what}", description, known, error) from error


@cache
def _strict(function: Callable[..., T]) -> Callable[..., T]:
    return validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))(function)


def input_error(name: str, values: Mapping[str, Any], known: Iterable[str], error: ValidationError) -> InputError:
    """The first problem that pydantic found, as one sentence that names the key.

    Args:
        name: what was read.
        values: its keys and values.
        known: the keys that it can have.
        error: what pydantic raised.

    Returns:
        the error to raise; its hint names the closest known key, or what is expected.
    """
    problems = error.errors(include_url=False)
    by_type: dict[str, ErrorDetails] = {problem["type"]: problem for problem in reversed(problems)}
    for type_ in UNKNOWN:
        if type_ in by_type:
            key = str(by_type[type_]["loc"][0])
            close = get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"known keys: {', '.join(sorted(known))}"
            return InputError(f"the {name} has an unknown key {key!r}", hint)
    for type_ in MISSING:
        if type_ in by_type:
            key = str(by_type[type_]["loc"][0])
            return InputError(f"the {name} has no key {key!r}", f"known keys: {', '.join(sorted(known))}")
    key = str(problems[0]["loc"][0])
    own = [problem for problem in problems if problem["loc"][0] == key]
    place, value = key, values[key]
    if len(own) == 1:
        place = key + "".join(f"[{part}]" for part in own[0]["loc"][1:])
        value = own[0]["input"]
    expected = " or ".join(dict.fromkeys(_expected(problem) for problem in own))
    return InputError(f"the key {place!r} of the {name} is {shown(value)}", f"it must be {expected}")


def _expected(problem: ErrorDetails) -> str:
    words = TYPES.get(problem["type"])
    return words.format(**problem.get("ctx", {})) if words else problem["msg"].removeprefix("Input should be ")


def shown(value: object) -> str:
    """A value as it is written in Python, in at most 60 characters."""
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


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


def check_finite(name: str, t: Tensor) -> None:
    """Raise InputError for NaN or infinity."""
    if not bool(torch.isfinite(t).all()):
        raise InputError(f"the {name} holds NaN or infinity", "correct the array")


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
