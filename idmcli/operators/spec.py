"""Specifications: operators, and parts of them, described in JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from functools import cache
from typing import Annotated, Any, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError, validate_call
from pydantic_core import ErrorDetails

from idmcli.errors import InputError
from idmcli.operators.checks import check_image_shape, shown

T = TypeVar("T")

UNKNOWN = ("extra_forbidden", "unexpected_keyword_argument")
MISSING = ("missing", "missing_argument", "missing_keyword_only_argument")
TYPES = {  # the types that pydantic expects, in the words of JSON
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
    """Make a mask or a kernel from its description, by the function of the description's type.

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
