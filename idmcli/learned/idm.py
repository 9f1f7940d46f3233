"""Invertible diffusion models: the wired T-step sampler over the injector U-Net (Chen et al., TPAMI 2025)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.config import Config
from idmcli.errors import ConfigError
from idmcli.learned.base import ModelKind, UNetSettings
from idmcli.learned.unet import denoiser_config, unet_conflicts
from idmcli.ranges import Coupling, Positive

if TYPE_CHECKING:
    import torch

    from idmcli.models import InvertibleDiffusion
    from idmcli.reversible.plan import Plan
    from idmcli.training.data import CropPool
    from idmcli.training.end_to_end import EndToEndStage


@dataclass(frozen=True)
class IDMSettings(UNetSettings):
    """[model] of kind idm."""

    kind: str = "idm"
    steps: Annotated[int, Field(ge=1, le=1000)] = 3  # T, the number of sampling steps
    rule: Literal["paper", "matched", "splitting"] = "paper"  # what a step computes: see docs/concepts/methods.md
    injectors: bool = True  # false: measurements enter between the steps only, for operators whose A+ takes long
    injector_kernel: Literal[1, 3] = 1  # side of the injectors' convolutions
    step_v: Coupling = 0.5  # initial mixing of the sampling steps
    start: Literal["least-squares", "operator", "total-variation"] = "least-squares"  # splitting: the first image
    levels: tuple[Positive, Positive] = (0.6, 0.006)  # splitting: noise levels before training, first and last
    carry: Annotated[int, Field(ge=0, le=64)] = 0  # images of features, for each channel, that go from step to step


class IDMKind(ModelKind):
    """A network that reconstructs, trained end to end for one kind of measurement."""

    name = "idm"
    noun = "a network trained end to end"
    settings = IDMSettings
    starts_from = ("prior", "idm")
    method = "idm"
    for_measurements = True
    computes_steps = True

    def build(self, config: Config) -> InvertibleDiffusion:
        from idmcli.models import InvertibleDiffusion, SamplerConfig

        m = config.model
        if m.injectors and m.size == "tiny":
            _check_injectors(m)
        denoiser = denoiser_config(config, steps=m.steps, injector_kernel=m.injector_kernel, injectors=m.injectors)
        return InvertibleDiffusion(SamplerConfig(denoiser, m.rule, m.step_v, m.start, m.levels, m.carry))

    def restore(self, settings: Mapping[str, Any]) -> InvertibleDiffusion:
        from pydantic import TypeAdapter

        from idmcli.models import InvertibleDiffusion, SamplerConfig

        return InvertibleDiffusion(TypeAdapter(SamplerConfig).validate_python(settings))

    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> EndToEndStage:
        from idmcli.training.end_to_end import EndToEndStage

        return EndToEndStage(crops, validation, config, device, plan)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        m, own = config.model, IDMSettings()
        found = list(unet_conflicts(config))
        if m.rule != "splitting":
            keys = [key for key in ("start", "levels") if getattr(m, key) != getattr(own, key)]
            found += [((f"model.{key}", "model.rule"), f'{key} is for rule = "splitting"') for key in keys]
        return found

    def memory_steps(self, config: Config) -> int:
        steps: int = config.model.steps
        return steps


def _check_injectors(model: IDMSettings) -> None:
    for level, channels in enumerate(model.channels):
        if channels % (pixels := (model.unshuffle * 2**level) ** 2):
            raise ConfigError(
                f"model.channels has {channels} at scale {level + 1}: injectors need a multiple of {pixels} there",
                "change model.channels or lower model.unshuffle",
            )


KIND = IDMKind()
