"""Configuration: TOML presets and files, environment and flags, merged into frozen dataclasses."""

from __future__ import annotations

from idmcli.config.load import LoadedConfig, check_value, keys_of, load_config, value_of
from idmcli.config.presets import Preset, list_presets, preset_folder, read_preset
from idmcli.config.render import render_with_sources, sections_of, to_toml
from idmcli.config.schema import Config, ModelSettings, SolverConfig, TaskConfig, TrainingConfig

__all__ = [
    "Config",
    "check_value",
    "LoadedConfig",
    "ModelSettings",
    "Preset",
    "SolverConfig",
    "TaskConfig",
    "TrainingConfig",
    "keys_of",
    "list_presets",
    "load_config",
    "preset_folder",
    "read_preset",
    "render_with_sources",
    "sections_of",
    "to_toml",
    "value_of",
]
