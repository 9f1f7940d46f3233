"""The memory of one training step: computed exactly, without data, weights or a GPU."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from idmcli import learned, tasks
from idmcli.errors import ConfigError
from idmcli.learned.sampling import SamplingSettings
from idmcli.memory.ghosts import GhostMode
from idmcli.models import Network, SamplingNetwork
from idmcli.plugins import MODELS
from idmcli.reversible.plan import Plan
from idmcli.training.end_to_end import crop_operator, reconstruction_loss
from idmcli.training.sampling import sampling_loss
from idmcli.training.step import Step

if TYPE_CHECKING:
    from idmcli.config import Config
    from idmcli.operators import LinearOperator


@dataclass(frozen=True)
class StepMemory:
    """Bytes of one training step.

    Attributes:
        parameters: of the network.
        average: the moving average of the weights.
        optimiser: the optimisers' state.
        gradients: as they are after the backward pass. While they grow in it they count as gradients too,
            and as taken for the whole step, as they are where gradients of several batches are summed.
        activations: held between the forward and the backward pass, with the batch, its measurements and
            their operator.
        temporaries: what lives beside all of these at the worst moment.
    """

    parameters: int
    average: int
    optimiser: int
    gradients: int
    activations: int
    temporaries: int

    @property
    def step(self) -> int:
        """The bytes of the step itself: activations and temporaries."""
        return self.activations + self.temporaries

    @property
    def peak(self) -> int:
        """All together."""
        return self.parameters + self.average + self.optimiser + self.gradients + self.step


def any_loss(
    model: Network, config: Config, operator: LinearOperator | None, plan: Plan | None, batch: int
) -> tuple[Tensor, float]:
    """The loss of the end-to-end stage on a batch of any pictures."""
    x = torch.rand(batch, *_crop_shape(config), device=next(model.parameters()).device)
    items = ["any"] * batch
    if operator is None:
        assert isinstance(model, SamplingNetwork)
        return sampling_loss(model, x, config, items, plan)
    return reconstruction_loss(model, x, operator, config, items, plan)


def operator_of(config: Config) -> LinearOperator | None:
    """The operator of a training crop; None where the network itself is what measures.

    Raises:
        ConfigError: the training steps of this kind of model are not computed.
    """
    check_computed(config)
    if isinstance(config.model, SamplingSettings):
        return None
    task = tasks.find(config.task.kind)
    return crop_operator(config, task.largest(config.operator), _crop_shape(config), "memory")


def check_computed(config: Config) -> None:
    """Raise ConfigError if the training steps of the kind of model are not computed."""
    kind = learned.find(config.model.kind)
    if not kind.computes_steps:
        kinds = ", ".join(name for name in MODELS.names() if learned.find(name).computes_steps)
        raise ConfigError(
            f'memory is computed for model.kind {kinds}, not "{kind.name}"',
            "name a preset of one of these kinds; `idm presets` lists them",
        )


def _crop_shape(config: Config) -> tuple[int, int, int]:
    side = config.training.patch
    return config.task.channels or 1, side, side


class ComputedStep:
    """Computes the memory of a configuration's training step, for any plan and batch.

    Args:
        config: its device has no effect: the operators of a CPU are counted.
        processes: how many share a batch.
        mode: where to compute, one of another computation for example, which knows the operators already.

    Raises:
        ConfigError: the steps of this kind of model are not computed, or the network cannot be built.
    """

    def __init__(self, config: Config, mode: GhostMode | None = None, processes: int = 1) -> None:
        config = replace(config, training=replace(config.training, compile=False))  # ghosts know the blocks as they are
        self.config, self._processes = config, processes
        operator = operator_of(config)
        parts = {operator, operator.padded()} if operator else set()  # kept: making the padded one takes values
        self._mode = mode or GhostMode()
        self._operators = _bytes(buffer for part in parts for buffer in part.buffers())
        for part in parts:
            self._mode.ghosts_of(part)
        with torch.device("meta"):
            model = learned.build(config)
        assert isinstance(model, Network)
        self._mode.ghosts_of(model)
        self._operator = operator
        with self._mode:
            self._step = Step(model, config.training)
            for parameter in model.parameters():
                parameter.grad = torch.zeros_like(parameter)
            self._step.update(torch.zeros(()))  # now the optimisers have their state

    def memory(self, plan: Plan | None, batch: int | None = None) -> StepMemory:
        """Bytes of a step on ``batch`` crops at once (if None, as [training] has them); no plan keeps everything."""
        step, mode = self._step, self._mode
        parameters = list(step.model.parameters())
        with mode:
            ledger = mode.start()
            ledger.allocate(self._operators)
            count = batch or self.config.training.crops_at_once(self._processes)
            loss, _ = step.forward(any_loss, self.config, self._operator, plan, count)
            activations = ledger.alive
            loss.backward()  # type: ignore[no-untyped-call]
            gradients = {mode.storage_of(p.grad) for p in parameters if p.grad is not None}
            step.update(loss.detach())
        state = [value for o in step.optimisers for values in o.state.values() for value in values.values()]
        averaged = [*step.average.parameters(), *step.average.buffers()]
        return StepMemory(
            parameters=_bytes([*parameters, *step.model.buffers()]),
            average=_bytes(averaged),
            optimiser=_bytes(value for value in state if isinstance(value, Tensor)),
            gradients=sum(size for _, size in gradients),
            activations=activations,
            temporaries=ledger.peak_beside({number for number, _ in gradients}) - activations,
        )


def _bytes(tensors: Iterable[Tensor]) -> int:
    """The bytes of the storages of tensors, each counted once."""
    storages = {(storage := tensor.untyped_storage())._cdata: storage.nbytes() for tensor in tensors}
    return sum(storages.values())
