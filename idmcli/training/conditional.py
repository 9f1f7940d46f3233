"""Training of a noise estimator that sees the measurements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from idmcli import tasks
from idmcli.metrics import psnr
from idmcli.models import ConditionalDenoiser
from idmcli.operators import Operator, Problem
from idmcli.tasks import OperatorOptions
from idmcli.training.data import generator
from idmcli.training.end_to_end import measure
from idmcli.training.prior import Drawn, PriorStage, noise_loss
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.config import Config


@dataclass(frozen=True)
class ConditionalStage:
    """Denoising of crops, given measurements of them by a fresh operator for every batch (SR3, Algorithm 1).

    Crops, noise levels and loss come from ``denoising``. The operators follow [task] and [operator], and the task draws
    new settings for each batch.
    """

    denoising: PriorStage
    config: Config

    def draw(self, numbers: Sequence[int]) -> Drawn:
        """The crops with these numbers."""
        return self.denoising.draw(numbers)

    def loss(
        self, model: ConditionalDenoiser, iteration: int, numbers: Sequence[int], drawn: Drawn
    ) -> tuple[Tensor, float]:
        """Loss of crops with these numbers under the operator of an iteration, and their PSNR in dB once denoised."""
        training, task = self.config.training, tasks.find(self.config.task.kind)
        x, sigma, noise = (part.to(self.denoising.device, torch.float32, non_blocking=True) for part in drawn)
        options = task.vary(self.config.operator, generator(training.seed, "operator", iteration))
        seen = self._condition(model, x, options, f"iteration {iteration}", [f"crop {number}" for number in numbers])
        return noise_loss(partial(model, condition=seen), x - model.mean, sigma, noise, training.loss)

    @torch.no_grad()
    def validate(self, model: ConditionalDenoiser) -> Validation:
        """PSNR in dB of what one call sees of the held-out crops in their measurements and noise of the largest level,
        for each of the task's options of validation."""
        x, task = self.denoising.validation.centre().to(self.denoising.device), tasks.find(self.config.task.kind)
        items = [f"validation {number}" for number in range(len(x))]
        sigma = torch.full((len(x), 1, 1, 1), self.denoising.sigma_max, device=x.device)
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(self.config.training.seed)).to(x)
        scores, pictures = {}, {"truth": x}
        for options in task.validation(self.config.operator):
            operator = self._operator(x, options, "validation")
            seen = self._condition(model, x, options, "validation", items)
            estimate = model(x - model.mean + sigma * noise, sigma, seen)[0] + model.mean
            scores[f"psnr_ratio_{operator.ratio:.2f}"] = float(psnr(estimate.clamp(0, 1), x).mean())
            pictures[f"ratio {operator.ratio:.2f}"] = estimate
        return Validation(scores, pictures)

    @torch.no_grad()
    def _condition(
        self, model: ConditionalDenoiser, x: Tensor, options: OperatorOptions, name: str, items: Sequence[str]
    ) -> Tensor:
        """The measurements of x as the network sees them: an image, centred."""
        operator = self._operator(x, options, name)
        problem = Problem(operator, *measure(x, operator, self.config, items))
        return problem.first_guess(model.mean) - model.mean

    def _operator(self, x: Tensor, options: OperatorOptions, name: str) -> Operator:
        task = tasks.find(self.config.task.kind)
        return task.operator(options, (x.shape[1], x.shape[2], x.shape[3]), name).to(x.device)
