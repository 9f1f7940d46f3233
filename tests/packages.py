"""Packages that are installed for one test."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from idmcli.registry import Registry


def install(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    registry: Registry[Any],
    entries: Mapping[str, str],
    modules: Mapping[str, str] | None = None,
) -> None:
    """Make a distribution ``my_package`` with modules and entry points, found as any that is installed.

    Args:
        monkeypatch: what undoes it after the test.
        folder: where the distribution lies, as in a folder ``site-packages``.
        registry: whose group the entry points are of.
        entries: name to ``module:attribute``.
        modules: name to source.
    """
    information = folder / "my_package-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: my-package\nVersion: 1.0\n")
    lines = [f"{name} = {place}" for name, place in entries.items()]
    (information / "entry_points.txt").write_text("\n".join([f"[{registry.group}]", *lines, ""]))
    for name, source in (modules or {}).items():
        sys.modules.pop(name, None)  # that of another test
        (folder / f"{name}.py").write_text(source)
    monkeypatch.syspath_prepend(folder)
    fresh = Registry(registry.group, registry._own, registry._kind)
    for name in ("_entries", "_loaded"):
        monkeypatch.setitem(vars(registry), name, getattr(fresh, name))
