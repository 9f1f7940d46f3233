"""Packages of other authors, as an installer leaves them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from idmcli import plugins
from idmcli.registry import Registry

# A format of priors: files with one number, the power of white images, for which the prior is the best denoiser.
POWERS = """
from idmcli.priors import PriorFormat, FunctionPrior


def load(source):
    power = float(source.path.read_text())

    def best(noisy, sigma):
        return 0.45 + power / (power + sigma**2) * (noisy - 0.45)

    return FunctionPrior(best, name=source.path.stem, noise_levels=(0.0, 10.0))


FORMAT = PriorFormat(recognises=lambda source: source.path.suffix == ".power", load=load)
"""


def install(site: Path, module: str, code: str, entries: Mapping[str, Mapping[str, str]]) -> Path:
    """Write a distribution of one module with entry points.

    Args:
        site: the folder that takes the place of ``site-packages``; made if it is not there.
        module: name of the module and of the distribution.
        code: of the module.
        entries: for each group, name of each entry point and the attribute of the module that it offers.

    Returns:
        ``site``.
    """
    info = site / f"{module}-1.0.dist-info"
    info.mkdir(parents=True)
    (site / f"{module}.py").write_text(code)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    lines = []
    for group, parts in entries.items():
        lines += [f"[{group}]", *(f"{name} = {module}:{attribute}" for name, attribute in parts.items()), ""]
    (info / "entry_points.txt").write_text("\n".join(lines))
    return site


def use(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have this process find what is installed in ``site``, until the end of the test."""
    monkeypatch.syspath_prepend(site)
    for registry in [value for value in vars(plugins).values() if isinstance(value, Registry)]:
        monkeypatch.setattr(registry, "_loaded", {})
        monkeypatch.setitem(vars(registry), "_entries", type(registry)._entries.func(registry))
    for module in [path.stem for path in site.glob("*.py")]:
        monkeypatch.delitem(sys.modules, module, raising=False)
