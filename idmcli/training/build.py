"""From a configuration to what the training loop takes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from idmcli.errors import IdmError, InputError
from idmcli.io.images import find_images, read_image
from idmcli.measuring import select_channels
from idmcli.reversible.plan import Plan, named_plan
from idmcli.reversible.planner import choose_plan, describe
from idmcli.sizes import format_size
from idmcli.training.data import CropPool, Pixels, split_validation
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.loop import Stage
from idmcli.training.prior import PriorStage
from idmcli.training.step_memory import ComputedStep

if TYPE_CHECKING:
    from idmcli.config import Config

VALIDATION_SIDE = 128


def load_images(paths: Sequence[str], config: Config, warn: Callable[[str], None]) -> list[Pixels]:
    """All usable pictures as (C, H, W) arrays in [0, 1]; the others are reported through ``warn``.

    C is that of the network: ``task.channels``, or 1.

    Raises:
        InputError: none is readable and at least as large as a training crop.
    """
    side, images, small, bad = config.training.patch, [], 0, 0
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
        images.append(np.ascontiguousarray(np.atleast_3d(pixels).transpose(2, 0, 1)))
    if small:
        warn(f"left out {small} pictures smaller than a crop of {side} x {side} pixels")
    if not images:
        raise InputError(
            f"no picture to train on: {bad} unreadable, {small} smaller than {side} x {side} pixels",
            "point --data at larger pictures or lower training.patch",
        )
    return images


def build_stage(config: Config, images: Sequence[Pixels], device: torch.device, plan: Plan | None = None) -> Stage:
    """The stage of [training] on these pictures, some of them held out for validation.

    Args:
        config: all of it.
        images: (C, H, W) each.
        device: where to train.
        plan: the result of :func:`memory_plan`, which is called if it is not given.
    """
    training, held_out = split_validation(images)
    t = config.training
    side = min(max(VALIDATION_SIDE, t.patch), *(size for image in held_out for size in image.shape[1:]))
    if config.operator.mask in ("boxes", "file"):  # made for one size
        side = t.patch
    crops, validation = CropPool(training, t.patch), CropPool(held_out, side - side % t.patch)
    if t.stage == "end-to-end":
        return EndToEndStage(crops, validation, config, device, plan or memory_plan(config, device))
    return PriorStage(crops, validation, t.batch, t.sigma_min, t.sigma_max, t.loss, t.seed, device)


def memory_plan(config: Config, device: torch.device, report: Callable[[str], None] = lambda message: None) -> Plan:
    """What each sampling step keeps for the backward pass: ``training.memory``, or the fastest plan that fits.

    With ``training.memory = "auto"`` a step's peak may reach ``training.memory_budget``, or 90 % of what is
    free on the device; ``report`` is told what was chosen.

    Raises:
        ResourceError: no plan fits.
    """
    t, steps = config.training, config.model.steps
    if t.memory != "auto":
        return named_plan(t.memory, steps)
    budget = t.memory_budget or int(0.9 * free_memory(device))
    computed = ComputedStep(config)
    plan, peak = choose_plan(steps, budget, lambda plan: computed.memory(plan).peak)
    report(f"memory plan: {describe(plan)}; computed peak {format_size(peak)} of {format_size(budget)}")
    return plan


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
