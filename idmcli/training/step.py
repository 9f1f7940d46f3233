"""One step of training: the loop takes it, and memory accounting computes and measures it."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel

from idmcli.models.precision import choose_precision
from idmcli.training.optimisers import build_optimisers, learning_rate_factor

if TYPE_CHECKING:
    from idmcli.config import TrainingConfig


@runtime_checkable
class Constrained(Protocol):
    """A module whose parameters have a range, restored after every optimiser step."""

    def constrain_(self) -> None: ...


class Step:
    """A network, and what turns a loss into its next weights.

    An iteration is :meth:`forward`, ``backward()`` of the loss, :meth:`update`. None of them depends on a value
    but for the check that all are finite, so that they run on tensors without values too.

    Args:
        model: on its device.
        config: the [training] section.

    Attributes:
        model: being trained.
        average: the exponential moving average of its weights, ``average.module``.
        optimisers: one or two.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig) -> None:
        self.model, self.config = model, config
        self.optimisers = build_optimisers(model, config)
        self.average = AveragedModel(model, multi_avg_fn=moving_average(config.ema))
        self._rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self._constraints = [module.constrain_ for module in model.modules() if isinstance(module, Constrained)]
        self._device = next(model.parameters()).device
        self._bf16 = choose_precision(config.precision, self._device) == "bf16"

    def set_rates(self, iteration: int) -> float:
        """Set the learning rates of an iteration; returns ``training.learning_rate`` as it is there."""
        factor = learning_rate_factor(self.config, iteration)
        for optimiser, rates in zip(self.optimisers, self._rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        return self.config.learning_rate * factor

    def forward(self, loss: Callable[..., tuple[Tensor, float]], *batch: Any) -> tuple[Tensor, float]:
        """``loss(model, *batch)`` in the precision of training: the loss, and a score in dB."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            return loss(self.model, *batch)

    def update(self, loss: Tensor) -> bool:
        """Move weights and average along the gradients, and drop these.

        Returns:
            Whether loss and gradients were finite; nothing moves if they were not.
        """
        norm = nn.utils.clip_grad_norm_(self.model.parameters(), self.config.gradient_clip or math.inf)
        finite = bool(torch.isfinite(loss)) and bool(torch.isfinite(norm))
        if finite:
            for optimiser in self.optimisers:
                optimiser.step()
            for constrain in self._constraints:
                constrain()
            self.average.update_parameters(self.model)
        self.model.zero_grad(set_to_none=True)
        return finite


def moving_average(decay: float) -> Callable[..., None]:
    """``average += (1 - decay) (new - average)``, with a shorter memory over the first steps."""

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor) -> None:
        weight = max(1 - decay, 9 / (10 + float(count)))
        torch._foreach_lerp_(averages, currents, weight)

    return update
