"""Text in Markdown."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Sequence


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; bars in its cells are escaped."""
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def joined(*parts: str) -> str:
    """A page of parts with an empty line between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def prose(docstring: str | None) -> str:
    """The text of a docstring in Markdown: roles and double backticks become code."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?([\w.]+)`", r"`\1`", inspect.cleandoc(docstring or ""))
    return text.replace("``", "`").replace("\\*", "*")


def first_paragraph(docstring: str | None) -> str:
    """Up to the first empty line, on one line."""
    return " ".join(prose(docstring).partition("\n\n")[0].split())


def attributes(docstring: str | None) -> dict[str, str]:
    """The section "Attributes:" of a docstring: name to meaning, each on one line."""
    section = inspect.cleandoc(docstring or "").partition("Attributes:\n")[2]
    section = re.split(r"\n(?=\S)", section)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n {5,}.*)*)", section, flags=re.MULTILINE)
    return {name: " ".join(prose(text).split()) for name, text in found}
