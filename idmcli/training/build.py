"""From a configuration to what the training loop takes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from idmcli import tasks
from idmcli.errors import IdmError, InputError
from idmcli.experiment import select_channels
from idmcli.io.images import find_images, read_image
from idmcli.reversible.plan import Plan
from idmcli.training.data import CropPool, Pixels, split_validation
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.loop import Stage
from idmcli.training.prior import PriorStage

if TYPE_CHECKING:
    import torch

    from idmcli.config import Config

VALIDATION_SIDE = 128


def load_images(paths: Sequence[str], config: Config, warn: Callable[[str], None]) -> dict[Path, Pixels]:
    """All usable pictures as (C, H, W) arrays in [0, 1], by file; the others are reported through ``warn``.

    C is that of the network: ``task.channels``, or 1.

    Raises:
        InputError: none is readable and at least as large as a training crop.
    """
    side, small, bad = config.training.patch, 0, 0
    images: dict[Path, Pixels] = {}
    config = replace(config, task=replace(config.task, channels=config.task.channels or 1))
    for path in find_images(paths):
        try:
            pixels = select_channels(read_image(path), config).pixels
        except IdmError as error:
            bad += 1
            warn(f"left out: {error.message}")
            continue
        if min(pixels.shape[:2]) < side:
            small += 1
            continue
        images[path] = np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1))
    if small:
        warn(f"left out {small} pictures smaller than a crop of {side} x {side} pixels")
    if not images:
        raise InputError(
            f"no picture to train on: {bad} unreadable, {small} smaller than {side} x {side} pixels",
            "point --data at larger pictures or lower training.patch",
        )
    return images


def fingerprint(images: Mapping[Path, Pixels]) -> str:
    """Twelve hexadecimal digits that depend on the names and sizes of pictures, in their order."""
    described = "\n".join(f"{path.name} {pixels.shape}" for path, pixels in images.items())
    return hashlib.sha256(described.encode("utf-8", "surrogateescape")).hexdigest()[:12]


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
    return PriorStage(crops, validation, t.sigma_min, t.sigma_max, t.loss, t.seed, device)
