"""Configuration: TOML presets and files, environment and flags, merged into frozen dataclasses."""

from __future__ import annotations

from idmcli.config.load import Loaded, load_config, value_of
from idmcli.config.presets import Preset, list_presets, preset_folder, read_preset
from idmcli.config.render import render_with_sources, to_toml
from idmcli.config.schema import Config, ModelConfig, OperatorConfig, TaskConfig, TrainingConfig

__all__ = [
    "Config",
    "Loaded",
    "ModelConfig",
    "OperatorConfig",
    "Preset",
    "TaskConfig",
    "TrainingConfig",
    "list_presets",
    "load_config",
    "preset_folder",
    "read_preset",
    "render_with_sources",
    "to_toml",
    "value_of",
]
