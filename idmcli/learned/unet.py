"""The configuration of the injector U-Net from [model], for the kinds built on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from idmcli.config import Config

if TYPE_CHECKING:
    from idmcli.models import DenoiserConfig


def denoiser_config(
    config: Config, *, steps: int = 0, injector_kernel: int = 1, injectors: bool = True
) -> DenoiserConfig:
    """The noise estimator that [model] asks for.

    Args:
        config: with :class:`~idmcli.learned.base.UNetSettings`.
        steps: T, the number of injector sets; 0 for a plain noise estimator.
        injector_kernel: 1 or 3.
        injectors: whether the measurements enter the network.
    """
    from idmcli.models import DenoiserConfig, UNetConfig
    from idmcli.models.denoiser import PHOTOGRAPH_MEAN
    from idmcli.models.stable_diffusion import StableDiffusionConfig

    m, channels = config.model, config.task.channels or 1
    if m.size == "full":
        full = StableDiffusionConfig(channels, steps, injector_kernel, m.v, injectors=injectors)
        return DenoiserConfig(full, mean=0.0, noise_map=m.noise_map)
    unet = UNetConfig(channels, m.unshuffle, m.channels, m.blocks, steps, injector_kernel, m.v, injectors)
    return DenoiserConfig(unet, PHOTOGRAPH_MEAN, m.noise_map)


def denoiser_config_of(settings: Mapping[str, Any]) -> DenoiserConfig:
    """The configuration of a noise estimator as a weights file holds it."""
    from pydantic import TypeAdapter

    from idmcli.models import DenoiserConfig

    return TypeAdapter(DenoiserConfig).validate_python(settings)


def unet_conflicts(config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
    """Scales that do not fit together."""
    if len(config.model.channels) == len(config.model.blocks) and config.model.channels:
        return ()
    return [(("model.channels", "model.blocks"), "one or more scales, the same number in both")]
