"""The interface of a kind of learned model."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from idmcli.config import Config, ModelSettings
from idmcli.ranges import BlocksPerScale, ChannelsPerScale, Coupling, Side

if TYPE_CHECKING:
    import torch

    from idmcli.models import Learned
    from idmcli.reversible.plan import Plan
    from idmcli.training.data import CropPool
    from idmcli.training.loop import Stage


@dataclass(frozen=True)
class UNetSettings(ModelSettings):
    """[model] of the kinds that are built on one injector U-Net."""

    size: Literal["tiny", "full"] = "tiny"  # full: Stable Diffusion 1.5's two finest scales; tiny: as below
    channels: ChannelsPerScale = (32, 96, 192)  # tiny: per scale, finest first
    blocks: BlocksPerScale = (2, 2, 2)  # tiny: residual blocks per scale
    unshuffle: Side = 2  # tiny: side of the pixel-unshuffle in front of the network
    noise_map: bool = False  # true: non-blind, the noise level is an input; false: blind
    v: Coupling = 0.5  # initial mixing of the couplings inside the network


class ModelKind(ABC):
    """A kind of learned model. Its module imports PyTorch inside functions only, so that settings load without it.

    Attributes:
        name: what [model], weights files and methods call it.
        noun: what people call one of its models, with an article.
        settings: the dataclass behind [model].
        starts_from: the kinds whose weights one may start from.
        for_measurements: whether a model serves one kind of measurement only, and not all images.
        computes_steps: whether the memory of a training step is computed (:mod:`idmcli.memory`).
        method: the method that runs on such a model where none is named; empty if the operator decides.
    """

    name: ClassVar[str]
    noun: ClassVar[str]
    settings: ClassVar[type[ModelSettings]]
    starts_from: ClassVar[Sequence[str]]
    for_measurements: ClassVar[bool] = False
    computes_steps: ClassVar[bool] = False
    method: ClassVar[str] = ""

    @abstractmethod
    def build(self, config: Config) -> Learned:
        """The untrained model of a configuration; its weights come from ``training.seed``.

        Raises:
            ConfigError: the settings do not fit together.
        """

    @abstractmethod
    def restore(self, settings: Mapping[str, Any]) -> Learned:
        """The model, without its weights, that a weights file describes; raises anything for a damaged description."""

    @abstractmethod
    def stage(
        self, config: Config, crops: CropPool, validation: CropPool, device: torch.device, plan: Plan | None = None
    ) -> Stage:
        """The stage for the training loop: a loss of crops, and a validation.

        Args:
            config: the whole configuration.
            crops: to train on.
            validation: held-out ones.
            device: where to compute.
            plan: what each sampling step keeps for the backward pass, for kinds with memory plans.
        """

    def conflicts(self, config: Config) -> Sequence[tuple[tuple[str, ...], str]]:
        """Keys that are valid alone but not together: (keys, what is expected of them)."""
        return ()

    def second_part(self, config: Config) -> int:
        """The iteration at which a second part of the training begins, whose learning rates start anew; 0: none."""
        return 0

    def memory_steps(self, config: Config) -> int:
        """The number of sampling steps that a memory plan is about; 0 where there are no plans."""
        return 0
