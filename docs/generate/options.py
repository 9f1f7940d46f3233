"""The fields of a dataclass of options, with their types, ranges and defaults."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from docs.generate.markdown import table
from idmcli.config.meanings import meanings
from idmcli.config.render import inline

LARGE = 2**31 - 1  # a bound that no user meets


def options_table(options: type, *, without: Set[str] = frozenset(), prefix: str = "") -> str:
    """A table of the fields; empty if there are none.

    Args:
        options: the dataclass.
        without: names of fields that are left out.
        prefix: in front of each name.
    """
    texts, hints = meanings(options), get_type_hints(options, include_extras=True)
    rows = [
        (f"`{prefix}{each.name}`", expected(hints[each.name]), default_of(each), texts[each.name].text)
        for each in fields(options)
        if each.name not in without
    ]
    return table(("key", "value", "default", "meaning"), rows) if rows else ""


def default_of(field: Field[Any]) -> str:
    """The default of a field, as TOML."""
    value = field.default_factory() if field.default_factory is not MISSING else field.default
    if value is MISSING:
        return "required"
    return "not set" if value is None else f"`{inline(value)}`"


def expected(hint: Any) -> str:
    """The values that a field takes, for people."""
    return _of_schema(TypeAdapter(hint).json_schema())


def _of_schema(schema: Mapping[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_of_schema(each) for each in schema["anyOf"] if each.get("type") != "null")
    if "enum" in schema or "const" in schema:
        return ", ".join(f"`{inline(value)}`" for value in schema.get("enum", [schema.get("const")]))
    match schema.get("type"):
        case "integer" | "number" as kind:
            return " ".join([kind, _range(schema)]).strip()
        case "boolean":
            return "`true`, `false`"
        case "array":
            parts = schema.get("prefixItems") or [schema.get("items", {})]
            return "list of " + ", ".join(dict.fromkeys(_of_schema(part) for part in parts))
        case "string" | "object" as kind:
            return {"string": "text", "object": "table"}[kind]
    return "value"


def _range(schema: Mapping[str, Any]) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    bounds = [(word, schema[key]) for key, word in words.items() if key in schema]
    return " ".join(f"{word} {bound:g}" for word, bound in bounds if abs(bound) < LARGE)
