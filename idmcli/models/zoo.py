"""Networks by configuration, and their start from trained weights."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from idmcli.errors import ConfigError, InputError
from idmcli.models.checkpoints import Model, kind_of, load_weights
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig
from idmcli.models.unet import UNetConfig

if TYPE_CHECKING:
    from idmcli.config import Config, ModelConfig

PHOTOGRAPH_MEAN = 0.45


def build_model(config: Config) -> Model:
    """The untrained network of [model], for the stage of [training]; weights from ``training.seed``.

    Raises:
        ConfigError: injectors do not fit ``model.channels``.
    """
    torch.manual_seed(config.training.seed)
    m, end_to_end = config.model, config.training.stage == "end-to-end"
    channels, steps = config.task.channels or 1, m.steps if end_to_end else 0
    if m.size == "full":
        denoiser = DenoiserConfig(StableDiffusionConfig(channels, steps, m.injector_kernel, m.v), mean=0.0)
    else:
        if end_to_end:
            _check_injectors(m)
        unet = UNetConfig(channels, m.patch, m.channels, m.blocks, steps, m.injector_kernel, m.v)
        denoiser = DenoiserConfig(unet, PHOTOGRAPH_MEAN)
    return InvertibleDiffusion(SamplerConfig(denoiser, m.schedule, m.step_v)) if end_to_end else Denoiser(denoiser)


def _check_injectors(model: ModelConfig) -> None:
    for level, channels in enumerate(model.channels):
        if channels % (pixels := (model.patch * 2**level) ** 2):
            raise ConfigError(
                f"model.channels has {channels} at scale {level + 1}: injectors need a multiple of {pixels} there",
                "change model.channels or lower model.patch",
            )


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
