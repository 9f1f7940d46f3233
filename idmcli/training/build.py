"""From a configuration to the stage that the training loop takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from idmcli import tasks
from idmcli.reversible.plan import Plan
from idmcli.training.conditional import ConditionalStage
from idmcli.training.data import CropPool, Pixels, split_validation
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.latent import LatentStage
from idmcli.training.loop import Stage
from idmcli.training.prior import PriorStage

if TYPE_CHECKING:
    import torch

    from idmcli.config import Config

VALIDATION_SIDE = 128


def build_stage(config: Config, images: Sequence[Pixels], device: torch.device, plan: Plan | None = None) -> Stage:
    """The stage of [training] on these pictures, some of them held out for validation.

    Args:
        config: all of it.
        images: (C, H, W) each.
        device: where to train.
        plan: end-to-end: what each sampling step keeps for the backward pass; everything if None.
    """
    training, held_out = split_validation(images)
    t = config.training
    side = min(max(VALIDATION_SIDE, t.patch), *(size for image in held_out for size in image.shape[1:]))
    if tasks.find(config.task.kind).one_size(config.operator):
        side = t.patch
    crops, validation = CropPool(training, t.patch), CropPool(held_out, side - side % t.patch)
    if t.stage == "end-to-end":
        return EndToEndStage(crops, validation, config, device, plan)
    if t.stage == "latent":
        return LatentStage(crops, validation, config, device)
    denoising = PriorStage(crops, validation, t.sigma_min, t.sigma_max, t.loss, t.seed, device)
    return ConditionalStage(denoising, config) if t.stage == "conditional" else denoising
