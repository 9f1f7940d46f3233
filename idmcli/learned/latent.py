"""Latent diffusion models: an autoencoder, and a noise estimator on its latents (Rombach et al., CVPR 2022)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.config import Config, ModelSettings
from idmcli.learned.base import ModelKind
from idmcli.ranges import NORM_GROUPS, BlocksPerScale, Channels, ChannelsPerScale

if TYPE_CHECKING:
    import torch

    from idmcli.models.latent import LatentDiffusion
    from idmcli.reversible.plan import Plan
    from idmcli.training.data import CropPool
    from idmcli.training.latent import LatentStage


@dataclass(frozen=True)
class LatentSettings(ModelSettings):
    """[model] of kind latent."""

    kind: str = "latent"
    channels: ChannelsPerScale = (32, 96, 192)  # channels of the noise estimator per scale, finest first
    blocks: BlocksPerScale = (2, 2, 2)  # residual blocks of the noise estimator, the same number on each scale
    autoencoder: ChannelsPerScale = (32, 48, 64)  # channels of the autoencoder, per scale, finest first
    latent_channels: Channels = 4  # channels of the autoencoder's latents


class LatentKind(ModelKind):
    """A latent prior. Training has two parts: the autoencoder, then the noise estimator."""

    name = "latent"
    noun = "a latent prior"
    settings = LatentSettings
    starts_from = ("latent",)
    method = "resample"

    def build(self, config: Config) -> LatentDiffusion:
        from idmcli.models.latent import LatentConfig, LatentDiffusion

        m = config.model
        channels = config.task.channels or 1
        return LatentDiffusion(LatentConfig(channels, m.latent_channels, m.autoencoder, m.channels, m.blocks[0]))

    def restore(self, settings: Mapping[str, Any]) -> LatentDiffusion:
        from pydantic import TypeAdapter

        from idmcli.models.latent import LatentConfig, LatentDiffusion

        return LatentDiffusion(TypeAdapter(LatentConfig).validate_python(settings))

    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> LatentStage:
        from idmcli.training.latent import LatentStage

        return LatentStage(crops, validation, config, device)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        model, training = config.model, config.training
        found: list[tuple[tuple[str, ...], str]] = []
        if len(model.channels) != len(model.blocks) or not model.channels:
            found.append((("model.channels", "model.blocks"), "one or more scales, the same number in both"))
        if any(channels % NORM_GROUPS for channels in (*model.channels, *model.autoencoder)) or not model.autoencoder:
            keys = ("model.channels", "model.autoencoder")
            found.append((keys, f"a latent model has one or more scales of multiples of {NORM_GROUPS} channels"))
        elif training.patch % 2 ** (len(model.autoencoder) - 1):
            found.append((("training.patch", "model.autoencoder"), "each scale of the autoencoder halves the crops"))
        if len(set(model.blocks)) != 1:
            found.append((("model.blocks",), "a latent model has the same number on every scale"))
        if training.autoencoder_iterations > training.iterations:
            keys = ("training.autoencoder_iterations", "training.iterations")
            found.append((keys, "autoencoder_iterations are among the iterations"))
        return found

    def second_part(self, config: Config) -> int:
        return config.training.autoencoder_iterations


KIND = LatentKind()
