"""Configurations as TOML text."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import tomli_w

from idmcli.config.schema import Config
from idmcli.text import escape

if TYPE_CHECKING:
    from idmcli.config.load import LoadedConfig


def sections_of(config: Config) -> dict[str, dict[str, Any]]:
    """Every value of a configuration by section and key; the options of a method stand in [solver] like its keys."""
    sections = {name: dict(content) for name, content in asdict(config).items()}
    sections["solver"] |= sections["solver"].pop("options")
    return sections


def to_toml(config: Config) -> str:
    """The configuration as TOML that loads back to an equal one; keys without a value are left out."""
    sections = []
    for section, content in sections_of(config).items():
        lines = [f"{key} = {inline(value)}" for key, value in content.items() if value is not None]
        sections.append("\n".join([f"[{section}]", *lines]))
    return "\n\n".join(sections) + "\n"


def render_with_sources(loaded: LoadedConfig, names: Collection[str]) -> str:
    """Like :func:`to_toml` for the sections of these names, with the source of each value as a comment."""
    sections = []
    for section, content in sections_of(loaded.config).items():
        if section not in names:
            continue
        lines = [f"[{section}]"]
        for key, value in content.items():
            setting = f"# {key} is not set" if value is None else f"{key} = {inline(value)}"
            lines.append(f"{setting:<32}  # {escape(loaded.sources[f'{section}.{key}'])}")
        sections.append("\n".join(lines))
    return "\n\n".join(sections)


def inline(value: Any) -> str:
    """A value in TOML notation, on one line."""
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
    return tomli_w.dumps({"v": value}).removeprefix("v = ").rstrip("\n")
