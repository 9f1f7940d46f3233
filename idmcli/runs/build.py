"""From a configuration to the stage that the training loop takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from idmcli import learned, tasks
from idmcli.reversible.plan import Plan
from idmcli.training.data import CropPool, Pixels, split_validation
from idmcli.training.loop import Stage

if TYPE_CHECKING:
    import torch

    from idmcli.config import Config

VALIDATION_SIDE = 128


def build_stage(config: Config, images: Sequence[Pixels], device: torch.device, plan: Plan | None = None) -> Stage:
    """The stage of training that [model] asks for on these pictures, some of them held out for validation.

    Args:
        config: all of it.
        images: (C, H, W) each.
        device: where to train.
        plan: what each sampling step keeps for the backward pass; everything if None.
    """
    training, held_out = split_validation(images)
    t = config.training
    side = min(max(VALIDATION_SIDE, t.patch), *(size for image in held_out for size in image.shape[1:]))
    if tasks.find(config.task.kind).one_size(config.operator):
        side = t.patch
    crops, validation = CropPool(training, t.patch, t.drawn), CropPool(held_out, side - side % t.patch)
    return learned.find(config.model.kind).stage(config, crops, validation, device, plan)
