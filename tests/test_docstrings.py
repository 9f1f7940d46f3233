"""The examples in docstrings run and print what they show, and the public ones have their sections."""

from __future__ import annotations

import ast
import doctest
import inspect
from importlib import import_module
from pathlib import Path

import pytest

import idmcli

PACKAGE = Path(idmcli.__file__).parent
SOURCES = {path.relative_to(PACKAGE.parent): path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py")}
SHOWN = sorted(path for path, source in SOURCES.items() if ">>> " in source)


@pytest.mark.parametrize("path", SHOWN, ids=str)
def test_examples(path: Path) -> None:
    module = import_module(".".join(path.with_suffix("").parts).removesuffix(".__init__"))
    found = doctest.testmod(module, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert found.attempted and not found.failed


@pytest.mark.parametrize("name", idmcli.__all__)
def test_public_functions_say_what_they_take_give_and_refuse(name: str) -> None:
    part = getattr(idmcli, name)
    text = inspect.getdoc(part) or ""
    assert text
    if not inspect.isfunction(part):
        return
    parameters = inspect.signature(part).parameters
    assert ">>> " in text or name in ("evaluate", "train")  # docs/howto/python.md has these two
    if len(parameters) > 1:
        assert [each for each in parameters if f"\n    {each}: " not in text.partition("Args:")[2]] == []


@pytest.mark.parametrize("path", SOURCES, ids=str)
def test_functions_with_many_parameters_have_sections(path: Path) -> None:
    """Public functions with three or more parameters and a docstring of several lines name each parameter."""
    for node in ast.walk(ast.parse(SOURCES[path])):
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_"):
            continue
        text = ast.get_docstring(node) or ""
        if "Args:" in text:
            given = [each.arg for each in [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]]
            named = [each for each in given if each not in ("self", "cls")]
            assert [each for each in named if not _names(each, text)] == [], node.name


def _names(parameter: str, text: str) -> bool:
    section = text.partition("Args:")[2].partition("Returns:")[0].partition("Raises:")[0]
    heads = [line.split(":")[0] for line in section.splitlines() if line.startswith("    ") and ":" in line]
    return any(parameter in (part.strip() for part in head.split(",")) for head in heads)
