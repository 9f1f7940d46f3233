"""The precision to train in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from idmcli.models.precision import choose_precision

if TYPE_CHECKING:
    from idmcli.config import Config


def settle(config: Config, device: torch.device) -> Config:
    """A configuration whose precision is decided, so that a run keeps it wherever it is resumed."""
    precision = choose_precision(config.training.precision, device)
    return replace(config, training=replace(config.training, precision=precision))
