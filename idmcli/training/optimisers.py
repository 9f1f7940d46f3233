"""Optimisers and learning-rate schedules by name."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer

from idmcli.training.muon import Muon

if TYPE_CHECKING:
    from idmcli.config import TrainingConfig


BETAS = (0.9, 0.99)
WEIGHTS = "weights"
DOMINANT = 10  # times the norm of the weights' gradient


def parameter_groups(model: nn.Module) -> dict[str, list[nn.Parameter]]:
    """The trainable parameters by what they do: "weights", and the groups that modules name as ``parameter_group``.

    "couplings" are the few scalars that mix streams, and "rule" the scalars of the sampling steps. Each of them moves
    every pixel of the result, so that their gradients are ten to a hundred times as long as the gradient of all weights
    together. "sampling" is a learned A with the layer that takes the place of A+. These groups have learning rates of
    their own and are clipped on their own.
    """
    groups: dict[str, list[nn.Parameter]] = {WEIGHTS: []}
    for module in model.modules():
        own = [parameter for parameter in module.parameters(recurse=False) if parameter.requires_grad]
        if own:
            groups.setdefault(getattr(module, "parameter_group", WEIGHTS), []).extend(own)
    return {name: group for name, group in groups.items() if group}


def build_optimisers(model: nn.Module, config: TrainingConfig) -> list[Optimizer]:
    """One optimiser, or Muon for the convolutions inside the network and AdamW for all else."""
    muon = _inner_convolutions(model) if config.optimizer == "muon" else []
    taken = {id(parameter) for parameter in muon}
    others = [
        {"params": rest, "lr": learning_rate_of(name, config)}
        for name, group in parameter_groups(model).items()
        if (rest := [parameter for parameter in group if id(parameter) not in taken])
    ]
    if config.optimizer == "adam":
        return [Adam(others, betas=BETAS)]
    adam = AdamW(others, betas=BETAS, weight_decay=config.weight_decay)
    return [Muon(muon, config.muon_learning_rate), adam] if muon else [adam]


def learning_rate_of(group: str, config: TrainingConfig) -> float:
    """The base learning rate of a group of :func:`parameter_groups`."""
    own = {
        "rule": config.rule_learning_rate,
        "couplings": config.coupling_learning_rate,
        "sampling": config.sampling_learning_rate,
    }
    return own.get(group) or config.learning_rate


def dominant_group(norms: Mapping[str, float], config: TrainingConfig) -> str | None:
    """The group of few numbers whose gradient is far longer than the weights' one but that learns as fast; None if no
    group is like that.

    Args:
        norms: of the gradients of each group, before clipping.
        config: the [training] section.
    """
    limit = DOMINANT * norms.get(WEIGHTS, math.inf)
    fast = (name for name in norms if name != WEIGHTS and learning_rate_of(name, config) >= config.learning_rate)
    return next((name for name in fast if norms[name] > limit), None)


def _inner_convolutions(model: nn.Module) -> list[Tensor]:
    """The weights of the convolutions that keep the number of channels."""
    return [
        layer.weight
        for layer in model.modules()
        if isinstance(layer, nn.Conv2d)
        and layer.kernel_size != (1, 1)
        and layer.in_channels == layer.out_channels
        and layer.weight.requires_grad
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
