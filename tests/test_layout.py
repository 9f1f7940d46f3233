"""The architecture: which folder may import which, and that CONTRIBUTING.md names them all."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from idmcli import solvers
from idmcli.models.checkpoints import shipped_names

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "idmcli"
# From the ground up: a module imports from its own folder and from what stands before it, also inside functions.
ORDER = (
    *(
        "errors",
        "text",
        "reporting",
        "registry",
        "plugins",
        "sizes",
        "durations",
        "ranges",
        "seeds",
        "environment",
        "allocator",
        "devices",
        "distributed",
    ),
    *(
        "metrics",
        "numerics",
        "reversible",
        "operators",
        "io",
        "models",
        "batch",
        "tasks",
        "config",
        "measuring",
        "importing",
    ),
    *("priors", "solvers", "training", "learned", "methods", "memory", "runs", "evaluation", "studies", "api", "cli"),
)
AMBIGUOUS = {"idm", "sr3", "rk-ccsnet", "csnet-plus", "gradient"}  # methods named like a kind of model, or a word
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


def named(path: Path) -> Iterator[str]:
    """The parts of the package whose parts a module names in strings: solvers, tasks, shipped weights, modules."""
    homes = {
        **dict.fromkeys(solvers.names(), "solvers"),
        **dict.fromkeys(shipped_names(), "models"),
    }
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            if node.value in homes and node.value not in AMBIGUOUS:
                yield homes[node.value]
            elif re.fullmatch(r"idmcli(\.\w+)+(:\w+)?", node.value):
                yield node.value.split(".")[1].split(":")[0]


@pytest.mark.parametrize("module", MODULES)
def test_names_in_strings_go_downward(module: str) -> None:
    """A task that names a solver depends on it as much as one that imports it."""
    part = module.split("/")[0].removesuffix(".py")
    if part in ("__init__", "__main__", "plugins"):  # the last lists what there is
        return
    allowed = ORDER[: ORDER.index(part) + 1]
    assert [other for other in named(PACKAGE / module) if other not in allowed] == []


@pytest.mark.parametrize("module", MODULES)
def test_imports_go_downward(module: str) -> None:
    part = module.split("/")[0].removesuffix(".py")
    if part in ("__init__", "__main__"):
        return
    allowed = ORDER[: ORDER.index(part) + 1]
    assert [other for other in imported(PACKAGE / module) if other not in allowed] == []


def test_the_page_for_contributors_names_every_folder() -> None:
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    assert [folder for folder in sorted(folders) if f"`{folder}/`" not in page] == []
    assert folders <= set(ORDER)
