"""The common part of the kinds that learn their own sampling."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.config import Config, ModelSettings
from idmcli.learned.base import ModelKind
from idmcli.ranges import Coupling, Ratio

if TYPE_CHECKING:
    import torch

    from idmcli.models.sampling_network import SamplingConfig, SamplingNetwork
    from idmcli.reversible.plan import Plan
    from idmcli.training.data import CropPool
    from idmcli.training.sampling import SamplingStage

TASK = "learned"
BLOCK = 32  # side in pixels of what is sampled at once


@dataclass(frozen=True)
class SamplingSettings(ModelSettings):
    """[model] of the kinds that learn their own sampling."""

    ratio: Ratio = 0.5  # measurements per pixel
    reversible: bool = False  # couple the blocks on two streams, so that training stores less
    injectors: bool = False  # let the measurements enter after every block
    v: Coupling = 0.5  # initial mixing of the couplings


class SamplingKind(ModelKind):
    """A network that learns to measure and to reconstruct together."""

    for_measurements = True
    computes_steps = True

    @abstractmethod
    def network(self, config: SamplingConfig) -> SamplingNetwork:
        """The untrained network of a configuration."""

    def build(self, config: Config) -> SamplingNetwork:
        from idmcli.models.sampling_network import SamplingConfig

        m = config.model
        return self.network(SamplingConfig(m.ratio, m.reversible, m.injectors, m.v))

    def restore(self, settings: Mapping[str, Any]) -> SamplingNetwork:
        from pydantic import TypeAdapter

        from idmcli.models.sampling_network import SamplingConfig

        return self.network(TypeAdapter(SamplingConfig).validate_python(settings))

    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> SamplingStage:
        from idmcli.training.sampling import SamplingStage

        return SamplingStage(crops, validation, config, device, plan)

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        found: list[tuple[tuple[str, ...], str]] = []
        if config.task.kind != TASK:
            found.append((("model.kind", "task.kind"), f'this network learns its own sampling: task.kind = "{TASK}"'))
        if config.training.patch % BLOCK:
            found.append((("training.patch",), f"it is sampled in blocks of {BLOCK} pixels: give a multiple"))
        return found

    def memory_steps(self, config: Config) -> int:
        return int(config.model.reversible)
