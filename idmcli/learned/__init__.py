"""Kinds of learned models: one module for each, whose ``KIND`` says all that others need to know of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from idmcli.config import Config
from idmcli.learned.base import ModelKind, UNetSettings
from idmcli.plugins import MODELS

if TYPE_CHECKING:
    from idmcli.models import Learned

__all__ = ["ModelKind", "UNetSettings", "build", "find", "names"]


def names() -> list[str]:
    """The names of all kinds."""
    return MODELS.names()


def find(name: str) -> ModelKind:
    """The kind of that name; LookupError if there is none."""
    kind: ModelKind = MODELS.find(name)
    return kind


def build(config: Config) -> Learned:
    """The untrained model of [model]; its weights come from ``training.seed``.

    Raises:
        ConfigError: the settings do not fit together.
    """
    import torch

    torch.manual_seed(config.training.seed)
    return find(config.model.kind).build(config)
