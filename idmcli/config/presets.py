"""The presets that come with idm."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import tomli

from idmcli.errors import ConfigError


@dataclass(frozen=True)
class Preset:
    """A named configuration file; its first comment line says what it is for."""

    name: str
    text: str

    @property
    def purpose(self) -> str:
        """The purpose of the preset, one line."""
        return self.text.partition("\n")[0].removeprefix("#").strip()

    @property
    def task(self) -> str:
        """The task it sets: cs for example."""
        return str(tomli.loads(self.text)["task"]["kind"])


def preset_folder() -> Path:
    """Where the presets are: inside the installed package, or beside it in a source checkout."""
    package = Path(__file__).parent.parent
    for folder in (package / "presets", package.parent / "presets"):
        if folder.is_dir():
            return folder
    raise ConfigError("the presets are missing from this installation of idm", "install idm again")


def list_presets() -> list[Preset]:
    """All presets, by name."""
    paths = sorted(preset_folder().glob("*.toml"), key=lambda path: path.stem)
    return [Preset(path.stem, path.read_text(encoding="utf-8")) for path in paths]


def read_preset(name: str) -> Preset:
    """The preset called ``name``.

    Raises:
        ConfigError: there is none of that name; names the closest one.
    """
    presets = {preset.name: preset for preset in list_presets()}
    if name in presets:
        return presets[name]
    close = get_close_matches(name, presets, n=1)
    if close:
        hint = f"did you mean {close[0]}?"
    elif name.endswith(".toml"):
        hint = f"use --config {name} for a file of your own"
    else:
        hint = "the presets are " + ", ".join(presets)
    raise ConfigError(f"there is no preset called {name!r}", hint)
