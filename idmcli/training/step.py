"""One step of training: the loop takes it, and memory accounting computes and measures it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel

from idmcli.models.compiled import compile_blocks
from idmcli.models.precision import choose_precision
from idmcli.training.optimisers import build_optimisers, learning_rate_factor, parameter_groups

if TYPE_CHECKING:
    from idmcli.config import TrainingConfig

Loss = Callable[..., tuple[Tensor, float]]


@runtime_checkable
class Constrained(Protocol):
    """A module whose parameters have a range, restored after every optimiser step."""

    def constrain_(self) -> None: ...


class Step:
    """A network, and what turns a loss into its next weights.

    An iteration is :meth:`gradients`, that is :meth:`forward` and ``backward()`` of each part of the batch, and
    :meth:`update`. None of them depends on a value but for the check that all are finite, so that they run on tensors
    without values too.

    Args:
        model: on its device.
        config: the [training] section.
        processes: how many train together; the gradients are their mean.
        restart: the iteration at which learning rates start anew; 0: never.

    Attributes:
        model: being trained.
        average: the exponential moving average of its weights, ``average.module``.
        optimisers: one or two.
        norms: of the last gradient, before clipping, for each group of :func:`parameter_groups`.
    """

    def __init__(self, model: nn.Module, config: TrainingConfig, processes: int = 1, *, restart: int = 0) -> None:
        self.model, self.config, self._restart = model, config, restart
        self.optimisers = build_optimisers(model, config)
        self.norms: dict[str, Tensor] = {}
        self._groups = parameter_groups(model)
        self.average = AveragedModel(model, multi_avg_fn=moving_average(config.ema))
        self._rates = [[group["lr"] for group in optimiser.param_groups] for optimiser in self.optimisers]
        self._constraints = [module.constrain_ for module in model.modules() if isinstance(module, Constrained)]
        self._device = next(model.parameters()).device
        self._bf16 = choose_precision(config.precision, self._device) == "bf16"
        if config.compile:
            compile_blocks(model)
        loss_of = LossOf(model)
        self._parallel = DistributedDataParallel(loss_of, gradient_as_bucket_view=True) if processes > 1 else None
        self._loss_of = self._parallel or loss_of

    def set_rates(self, iteration: int) -> float:
        """Set the learning rates of an iteration; returns ``training.learning_rate`` as it is there."""
        factor = learning_rate_factor(self.config, iteration, self._restart)
        for optimiser, rates in zip(self.optimisers, self._rates, strict=True):
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                group["lr"] = rate * factor
        return self.config.learning_rate * factor

    def gradients(self, loss: Loss, parts: Iterable[Sequence[Any]], count: int) -> tuple[Tensor, float]:
        """Add up the gradients of the mean loss of the equal parts of a batch.

        Args:
            loss: ``loss(model, *part)`` is the loss of a part and a score in dB.
            parts: of the batch, each as the arguments of ``loss``.
            count: their number.

        Returns:
            The mean loss and the mean score of this process. The gradients are of all processes.
        """
        total, score = torch.zeros((), device=self._device), 0.0
        for number, part in enumerate(parts, start=1):
            with self._parallel.no_sync() if self._parallel and number < count else nullcontext():
                found, found_score = self.forward(loss, *part)
                (found / count).backward()  # type: ignore[no-untyped-call]
            total += found.detach() / count
            score += found_score / count
        return total, score

    def forward(self, loss: Loss, *part: Any) -> tuple[Tensor, float]:
        """``loss(model, *part)`` in the precision of training."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            found: tuple[Tensor, float] = self._loss_of(loss, *part)
            return found

    def update(self, loss: Tensor | float) -> bool:
        """Move weights and average along the gradients, and drop these.

        Returns:
            Whether loss and gradients were finite; nothing moves if they were not.
        """
        limit = self.config.gradient_clip or math.inf
        self.norms = {name: nn.utils.clip_grad_norm_(group, limit) for name, group in self._groups.items()}
        finite = math.isfinite(loss) and all(map(math.isfinite, self.norms.values()))
        if finite:
            for optimiser in self.optimisers:
                optimiser.step()
            for constrain in self._constraints:
                constrain()
            self.average.update_parameters(self.model)
        self.model.zero_grad(set_to_none=True)
        return finite


class LossOf(nn.Module):
    """The loss of a model as a module: what DistributedDataParallel wraps."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, loss: Loss, *part: Any) -> tuple[Tensor, float]:
        return loss(self.model, *part)


def moving_average(decay: float) -> Callable[..., None]:
    """``average += (1 - decay) (new - average)``, with a shorter memory over the first steps."""

    @torch.no_grad()
    def update(averages: list[Tensor], currents: list[Tensor], count: Tensor) -> None:
        weight = max(1 - decay, 9 / (10 + float(count)))
        torch._foreach_lerp_(averages, currents, weight)

    return update
