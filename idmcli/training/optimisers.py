"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import Adam, AdamW, Optimizer

from idmcli.training.muon import Muon

if TYPE_CHECKING:
    from idmcli.config import TrainingConfig


def build_optimisers(model: nn.Module, config: TrainingConfig) -> list[Optimizer]:
    """One optimiser, or Muon for the convolutions inside the network and AdamW for all else."""
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    betas = (0.9, 0.99)
    if config.optimizer == "adam":
        return [Adam(parameters, config.learning_rate, betas)]
    if config.optimizer == "adamw":
        return [AdamW(parameters, config.learning_rate, betas, weight_decay=config.weight_decay)]
    hidden = {
        id(block.weight)
        for block in model.modules()
        if isinstance(block, nn.Conv2d) and block.kernel_size != (1, 1) and block.in_channels == block.out_channels
    }
    return [
        Muon([parameter for parameter in parameters if id(parameter) in hidden], config.muon_learning_rate),
        AdamW(
            [parameter for parameter in parameters if id(parameter) not in hidden],
            config.learning_rate,
            betas,
            weight_decay=config.weight_decay,
        ),
    ]


def learning_rate_factor(config: TrainingConfig, iteration: int, restart: int = 0) -> float:
    """The factor of the base learning rate at an iteration: a linear warm-up, then the schedule.

    Args:
        config: the [training] section.
        iteration: from 0.
        restart: the iteration at which both start anew for a second part of the training; 0: never.
    """
    start, end = (0, restart) if iteration < restart else (restart, config.iterations)
    done = iteration - start
    if done < config.warmup:
        return (done + 1) / config.warmup
    progress = (done - config.warmup) / max(1, end - start - config.warmup)
    match config.schedule:
        case "trapezoid":  # constant, then linear to zero over the last 40 %
            return min(1.0, (1 - progress) / 0.4)
        case "cosine":
            return (1 + math.cos(math.pi * progress)) / 2
        case "step":  # halved every fifth of the run, as the paper does every 10 of 50 epochs
            return 0.5 ** int(5 * progress)
        case _:
            return 1.0
