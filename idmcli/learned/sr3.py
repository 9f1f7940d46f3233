"""Noise estimators that see the measurements as an image beside the noisy one (SR3, Saharia et al., TPAMI 2023)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.config import Config
from idmcli.learned.base import ModelKind, UNetSettings
from idmcli.learned.unet import denoiser_config, denoiser_config_of, unet_conflicts

if TYPE_CHECKING:
    import torch

    from idmcli.models import ConditionalDenoiser
    from idmcli.reversible.plan import Plan
    from idmcli.training.conditional import ConditionalStage
    from idmcli.training.data import CropPool


@dataclass(frozen=True)
class SR3Settings(UNetSettings):
    """[model] of kind sr3."""

    kind: str = "sr3"


class SR3Kind(ModelKind):
    """A conditional noise estimator, for one kind of measurement."""

    name = "sr3"
    noun = "a conditional noise estimator"
    settings = SR3Settings
    starts_from = ("prior", "sr3")
    for_measurements = True

    def build(self, config: Config) -> ConditionalDenoiser:
        from idmcli.models import ConditionalDenoiser

        return ConditionalDenoiser(denoiser_config(config))

    def restore(self, settings: Mapping[str, Any]) -> ConditionalDenoiser:
        from idmcli.models import ConditionalDenoiser

        return ConditionalDenoiser(denoiser_config_of(settings))

    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> ConditionalStage:
        from idmcli.training.conditional import ConditionalStage
        from idmcli.training.prior import PriorStage

        t = config.training
        denoising = PriorStage(crops, validation, t.sigma_min, t.sigma_max, t.loss, t.seed, device)
        return ConditionalStage(denoising, config)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        return unet_conflicts(config)


KIND = SR3Kind()
