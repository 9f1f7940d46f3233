"""The meaning of each key of a section, for the command line and the reference."""

from __future__ import annotations

import inspect
import re
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from typing import Annotated, Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

_COMMENTED = re.compile(r"^    (\w+): .*?  # (.+)$", re.MULTILINE)


class Meaning(NamedTuple):
    """A key of a section.

    Attributes:
        default: its value where nothing else is said; None if it is not set then.
        choices: the values it can have; none where these are too many to list.
        text: what it is.
    """

    default: Any
    choices: tuple[Any, ...]
    text: str


def meanings(section: type) -> dict[str, Meaning]:
    """The keys of a dataclass in their order. Their text is the comment behind each field, in its own source.

    >>> from idmcli.tasks.sr import SuperResolutionOptions
    >>> meanings(SuperResolutionOptions)["filter"].choices
    ('bicubic', 'average')
    """
    texts, hints = _comments(section), get_type_hints(section, include_extras=True)
    return {
        field.name: Meaning(
            None if field.default is MISSING else field.default, _choices(hints[field.name]), texts.get(field.name, "")
        )
        for field in fields(section)
    }


def _comments(section: type) -> dict[str, str]:
    found: dict[str, str] = {}
    for kind in reversed(section.__mro__):
        if is_dataclass(kind):
            with suppress(OSError, TypeError):  # a class without its source
                found |= _COMMENTED.findall(inspect.getsource(kind))
    return found


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a Literal, also of one that may be None."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    if get_origin(hint) is Annotated:
        return ()
    return next((choices for part in get_args(hint) if (choices := _choices(part))), ())
