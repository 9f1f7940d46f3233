"""Priors: the injector U-Net as a noise estimator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.config import Config
from idmcli.learned.base import ModelKind, UNetSettings
from idmcli.learned.unet import denoiser_config, denoiser_config_of, unet_conflicts

if TYPE_CHECKING:
    import torch

    from idmcli.models import Denoiser
    from idmcli.reversible.plan import Plan
    from idmcli.training.data import CropPool
    from idmcli.training.prior import PriorStage


@dataclass(frozen=True)
class PriorSettings(UNetSettings):
    """[model] of kind prior."""

    kind: str = "prior"


class PriorKind(ModelKind):
    """A noise estimator, which every method with a prior runs on."""

    name = "prior"
    noun = "a prior"
    settings = PriorSettings
    starts_from = ("prior",)

    def build(self, config: Config) -> Denoiser:
        from idmcli.models import Denoiser

        return Denoiser(denoiser_config(config))

    def restore(self, settings: Mapping[str, Any]) -> Denoiser:
        from idmcli.models import Denoiser

        return Denoiser(denoiser_config_of(settings))

    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> PriorStage:
        from idmcli.training.prior import PriorStage

        t = config.training
        return PriorStage(crops, validation, t.sigma_min, t.sigma_max, t.loss, t.seed, device)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        return unet_conflicts(config)


KIND = PriorKind()
