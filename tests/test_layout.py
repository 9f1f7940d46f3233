"""The architecture: which folder may import which, and that the README names them all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "idmcli"
# From the ground up: a module imports from its own folder and from what stands before it, also inside functions.
ORDER = (
    *("errors", "sizes", "ranges", "seeds", "output", "metrics", "registry"),
    *("numerics", "reversible", "operators", "io", "tasks", "config", "models", "priors", "solvers"),
    *("library", "experiment", "training", "memory", "evaluation", "cli"),
)
MODULES = sorted(path.relative_to(PACKAGE).as_posix() for path in PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """The parts of the package that a module imports."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module == "idmcli":
            yield from (alias.name for alias in node.names if alias.name != "__version__")
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("idmcli."):
            yield str(node.module).split(".")[1]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1] for alias in node.names if alias.name.startswith("idmcli."))


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward(module: str) -> None:
    part = module.split("/")[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    allowed = ORDER[: ORDER.index(part) + 1]
    assert [other for other in imported(PACKAGE / module) if other not in allowed] == []


def test_the_readme_names_every_folder() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in readme] == []
    assert folders <= set(ORDER)
