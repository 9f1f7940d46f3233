"""Second stage of training: the whole sampler on the reconstruction task."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from idmcli.evaluation.metrics import psnr
from idmcli.measuring import build_operator, item_seed
from idmcli.models.network import Network
from idmcli.operators import LinearOperator, add_noise
from idmcli.reversible.plan import Plan
from idmcli.training.data import CropPool

if TYPE_CHECKING:
    from idmcli.config import Config

VALIDATION_RATIOS = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class EndToEndStage:
    """Reconstruction of crops from their measurements, with a fresh operator for every batch.

    The operator follows [task] and [operator]; where a ratio is not set, each batch draws its own
    from ``ratio_min .. ratio_max``, so that one network serves all ratios. The loss is the mean
    absolute (``l1``) or squared (``l2``) error of the image. ``plan`` says what each sampling step keeps for
    the backward pass; everything if None.
    """

    crops: CropPool
    validation: CropPool
    config: Config
    device: torch.device
    plan: Plan | None = None

    def loss(self, model: Network, iteration: int) -> tuple[Tensor, float]:
        """Loss of one batch, and its PSNR in dB."""
        training, options = self.config.training, self.config.operator
        rng = np.random.default_rng([training.seed, iteration])
        x = self.crops.draw(training.batch, rng).to(self.device)
        ratio = rng.uniform(options.ratio_min, options.ratio_max)
        operator = self._operator(x, ratio, f"iteration {iteration}")
        return reconstruction_loss(model, x, operator, self.config, f"iteration {iteration}", self.plan)

    @torch.no_grad()
    def validate(self, model: Network) -> dict[str, float]:
        """PSNR in dB of the held-out crops, at the configured ratio or at 10, 30 and 50 %."""
        x = self.validation.centre().to(self.device)
        scores = {}
        for ratio in VALIDATION_RATIOS if self._draws_ratios() else (0.0,):
            operator = self._operator(x, ratio, "validation")
            estimate = model.reconstruct(_measure(x, operator, self.config, "validation"), operator)
            scores[f"psnr_ratio_{operator.ratio:.2f}"] = float(psnr(estimate, x).mean())
        return scores

    def _draws_ratios(self) -> bool:
        return self.config.task.kind == "cs" and self.config.operator.ratio is None

    def _operator(self, x: Tensor, ratio: float, item: str) -> LinearOperator:
        config = self.config
        if self._draws_ratios():
            config = replace(config, operator=replace(config.operator, ratio=ratio))
        shape = (x.shape[1], x.shape[2], x.shape[3])
        return build_operator(config, shape, item).to(self.device)


def reconstruction_loss(
    model: Network, x: Tensor, operator: LinearOperator, config: Config, item: str, plan: Plan | None
) -> tuple[Tensor, float]:
    """The loss of [training] on images x, (B, C, H, W), measured by ``operator``, and their PSNR in dB.

    ``item`` names the batch; its noise depends on it.
    """
    estimate = model(_measure(x, operator, config, item), operator, plan)
    error = estimate - x
    loss = error.abs().mean() if config.training.loss == "l1" else error.square().mean()
    return loss, float(psnr(estimate.detach().clamp(0, 1), x).mean())


def _measure(x: Tensor, operator: LinearOperator, config: Config, item: str) -> Tensor:
    return add_noise(operator.A(x), config.operator.noise, item_seed(config.training.seed, item))
