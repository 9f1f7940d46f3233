"""The fields of a dataclass of options: type, range and default from the class, the meaning from its comments."""

from __future__ import annotations

import ast
import inspect
import io
import textwrap
import tokenize
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from typing import Any, get_type_hints

from pydantic import TypeAdapter

from docs.generate.markdown import table
from idmcli.config.render import inline

LARGE = 2**31 - 1  # a bound that no user meets


def options_table(options: type, *, without: set[str] = frozenset(), prefix: str = "") -> str:  # type: ignore[assignment]
    """A table of the fields; empty if there are none.

    Args:
        options: the dataclass.
        without: names of fields that are left out.
        prefix: in front of each name.
    """
    meanings, hints = comments(options), get_type_hints(options, include_extras=True)
    rows = [
        (f"`{prefix}{each.name}`", expected(hints[each.name]), default_of(each), meanings.get(each.name, ""))
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


def comments(options: type) -> dict[str, str]:
    """The comments at the fields of a dataclass and of its bases: behind a field, or on the lines above it."""
    found: dict[str, str] = {}
    for each in reversed(options.__mro__[:-1]):
        if "__dataclass_fields__" in vars(each):
            found |= _comments_in(textwrap.dedent(inspect.getsource(each)))
    return found


def _comments_in(source: str) -> dict[str, str]:
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    by_line = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
    (definition,) = ast.parse(source).body
    assert isinstance(definition, ast.ClassDef)
    found = {}
    for node in definition.body:
        if not (isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)):
            continue
        lines = list(range(node.lineno, (node.end_lineno or node.lineno) + 1))
        above = node.lineno - 1
        while above in by_line and not by_line[above].line[: by_line[above].start[1]].strip():
            lines.insert(0, above)
            above -= 1
        found[node.target.id] = " ".join(by_line[line].string.lstrip("# ") for line in lines if line in by_line)
    return found
