"""Second stage of training: the whole sampler on the reconstruction task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from idmcli import tasks
from idmcli.errors import ConfigError
from idmcli.metrics import psnr
from idmcli.models import Network
from idmcli.operators import LinearOperator, Operator
from idmcli.reversible.plan import Plan
from idmcli.seeds import item_seed
from idmcli.tasks import OperatorOptions, Shape
from idmcli.training.data import CropPool, generator
from idmcli.training.losses import loss_of
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.config import Config


@dataclass(frozen=True)
class ReconstructionStage:
    """The crops of a stage that measures and reconstructs them.

    ``plan`` says what each step of the network keeps for the backward pass; everything if None.
    """

    crops: CropPool
    validation: CropPool
    config: Config
    device: torch.device
    plan: Plan | None = None

    def draw(self, numbers: Sequence[int]) -> Tensor:
        """The crops with these numbers."""
        return self.crops.crops(self.config.training.seed, numbers)


@dataclass(frozen=True)
class EndToEndStage(ReconstructionStage):
    """Reconstruction of crops from their measurements, with a fresh operator for every batch.

    The operator follows [task] and [operator]. The task draws new settings for each batch, such as the ratio if none is
    set, so that one network serves all of them. The loss is computed on the image's error
    (:func:`idmcli.training.losses.loss_of`).
    """

    def loss(self, model: Network, iteration: int, numbers: Sequence[int], drawn: Tensor) -> tuple[Tensor, float]:
        """Loss of crops with these numbers under the operator of an iteration, and their PSNR in dB."""
        x, task = drawn.to(self.device, non_blocking=True), tasks.find(self.config.task.kind)
        options = task.vary(self.config.operator, generator(self.config.training.seed, "operator", iteration))
        operator = self._operator(x, options, f"iteration {iteration}")
        items = [f"crop {number}" for number in numbers]
        return reconstruction_loss(model, x, operator, self.config, items, self.plan)

    @torch.no_grad()
    def validate(self, model: Network) -> Validation:
        """PSNR in dB of the held-out crops, for each of the task's options of validation."""
        x, task = self.validation.centre().to(self.device), tasks.find(self.config.task.kind)
        items = [f"validation {number}" for number in range(len(x))]
        scores, pictures = {}, {"truth": x}
        for options in task.validation(self.config.operator):
            operator = self._operator(x, options, "validation")
            y, noise = measure(x, operator, self.config, items)
            estimate = model.reconstruct(y, operator, noise)
            scores[f"psnr_ratio_{operator.ratio:.2f}"] = float(psnr(estimate, x).mean())
            pictures[f"ratio {operator.ratio:.2f}"] = estimate
        return Validation(scores, pictures)

    def _operator(self, x: Tensor, options: OperatorOptions, item: str) -> LinearOperator:
        return crop_operator(self.config, options, (x.shape[1], x.shape[2], x.shape[3]), item).to(self.device)


def crop_operator(config: Config, options: OperatorOptions, shape: Shape, item: str) -> LinearOperator:
    """The operator of the task of a configuration for images of this shape.

    Raises:
        ConfigError: it is not linear, which the sampler needs.
    """
    operator = tasks.find(config.task.kind).operator(options, shape, item)
    if not isinstance(operator, LinearOperator):
        raise ConfigError(
            f"task {config.task.kind} is not linear, and the sampler is for linear operators", "choose another task"
        )
    return operator


def reconstruction_loss(
    model: Network,
    x: Tensor,
    operator: LinearOperator,
    config: Config,
    items: Sequence[str],
    plan: Plan | None,
) -> tuple[Tensor, float]:
    """The loss of [training] on images x, (B, C, H, W), measured by ``operator``, and their PSNR in dB.

    ``items`` names the images; their noise depends on it.
    """
    y, noise = measure(x, operator, config, items)
    estimate = model(y, operator, plan, noise)
    del y  # not needed by the loss and its gradient
    return loss_of(estimate - x, config.training.loss), float(psnr(estimate.detach().clamp(0, 1), x).mean())


def measure(x: Tensor, operator: Operator, config: Config, items: Sequence[str]) -> tuple[Tensor, float]:
    """The measurements of images x, (B, C, H, W), by an operator of the task, with the noise of [operator] by their
    names, and the mean standard deviation of that noise."""
    return disturbed(operator.A(x), config, items)


def disturbed(y: Tensor, config: Config, items: Sequence[str]) -> tuple[Tensor, float]:
    """Measurements with the noise of [operator], by the names of their images, and the mean standard deviation of that
    noise."""
    task, parts = tasks.find(config.task.kind), torch.split(y, 1)
    seeds = [item_seed(config.training.seed, item) for item in items]
    each = [task.disturb(y, config.operator, seed) for y, seed in zip(parts, seeds, strict=True)]
    return torch.cat([y for y, _ in each]), sum(noise for _, noise in each) / len(each)
