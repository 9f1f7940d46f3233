"""From a configuration to what the training loop takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from idmcli.errors import IdmError, InputError
from idmcli.io.images import find_images, read_image
from idmcli.measuring import select_channels
from idmcli.models.checkpoints import Model, kind_of, load_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.training.data import CropPool, Pixels, split_validation
from idmcli.training.end_to_end import EndToEndStage
from idmcli.training.loop import Stage
from idmcli.training.prior import PriorStage

if TYPE_CHECKING:
    from idmcli.config import Config

VALIDATION_SIDE = 128
PHOTOGRAPH_MEAN = 0.45


def build_model(config: Config) -> Model:
    """The untrained network of [model], for the stage of [training]; weights from ``training.seed``."""
    torch.manual_seed(config.training.seed)
    m, end_to_end = config.model, config.training.stage == "end-to-end"
    unet = UNetConfig(
        image_channels=config.task.channels or 1,
        patch=m.patch,
        channels=m.channels,
        blocks=m.blocks,
        steps=m.steps if end_to_end else 0,
        injector_kernel=m.injector_kernel,
        v=m.v,
    )
    denoiser = DenoiserConfig(unet, PHOTOGRAPH_MEAN)
    return InvertibleDiffusion(SamplerConfig(denoiser, m.schedule, m.step_v)) if end_to_end else Denoiser(denoiser)


def initialise(model: Model, weights: Path) -> None:
    """Copy trained weights into ``model``: those of its own kind, or a prior into the sampler's denoiser.

    Injectors that the prior does not have keep their start, the identity.

    Raises:
        InputError: the weights are of another shape or kind.
    """
    source = load_weights(weights)
    if isinstance(model, Denoiser) and not isinstance(source, Denoiser):
        raise InputError(f"--init {str(weights)!r} is of kind {kind_of(source)}", "a prior starts from a prior")
    target = model.denoiser if isinstance(model, InvertibleDiffusion) and isinstance(source, Denoiser) else model
    try:
        missing, unexpected = target.load_state_dict(source.state_dict(), strict=False)
    except RuntimeError as error:
        raise InputError(
            f"--init {str(weights)!r} has tensors of other shapes: {str(error).splitlines()[1].strip()}",
            "use the same model.channels and model.blocks",
        ) from error
    missing = [name for name in missing if ".to_image." not in name and ".to_features." not in name]
    if missing or unexpected:
        raise InputError(
            f"--init {str(weights)!r} is another network: {(missing + unexpected)[0]} has no counterpart",
            "use the same model.channels and model.blocks",
        )


def load_images(paths: Sequence[str], config: Config, warn: Callable[[str], None]) -> list[Pixels]:
    """All usable pictures as (C, H, W) arrays in [0, 1]; the others are reported through ``warn``.

    Raises:
        InputError: none is readable and at least as large as a training crop.
    """
    side, images, small, bad = config.training.patch, [], 0, 0
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


def build_stage(config: Config, images: Sequence[Pixels], device: torch.device) -> Stage:
    """The stage of [training] on these pictures, some of them held out for validation."""
    training, held_out = split_validation(images)
    t = config.training
    side = min(VALIDATION_SIDE, *(size for image in held_out for size in image.shape[1:]))
    crops, validation = CropPool(training, t.patch), CropPool(held_out, side - side % t.patch)
    if t.stage == "end-to-end":
        return EndToEndStage(crops, validation, config, device)
    return PriorStage(crops, validation, t.batch, t.sigma_min, t.sigma_max, t.loss, t.seed, device)
