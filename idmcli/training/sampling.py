"""Training of a network that learns its own sampling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from idmcli.metrics import psnr
from idmcli.models.sampling_network import SamplingNetwork
from idmcli.reversible.plan import Plan
from idmcli.training.end_to_end import ReconstructionStage, disturbed
from idmcli.training.losses import loss_of
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.config import Config


@dataclass(frozen=True)
class SamplingStage(ReconstructionStage):
    """Measurement of crops by the network's own sampling, with the noise of [operator], and their reconstruction.

    The loss adds the loss of the last image's error and the loss of the first image's error.
    """

    def loss(
        self, model: SamplingNetwork, iteration: int, numbers: Sequence[int], drawn: Tensor
    ) -> tuple[Tensor, float]:
        """Loss of crops with these numbers, and the PSNR in dB of the last images."""
        x = drawn.to(self.device, non_blocking=True)
        return sampling_loss(model, x, self.config, [f"crop {number}" for number in numbers], self.plan)

    @torch.no_grad()
    def validate(self, model: SamplingNetwork) -> Validation:
        """PSNR in dB of the held-out crops, of the first image and the last."""
        x = self.validation.centre().to(self.device)
        y = disturbed(model.measure(x), self.config, [f"validation {number}" for number in range(len(x))])[0]
        first, last = (image.clamp(0, 1) for image in model.images(y, (x.shape[2], x.shape[3])))
        scores = {"psnr_first": float(psnr(first, x).mean()), "psnr": float(psnr(last, x).mean())}
        return Validation(scores, {"truth": x, "first image": first, "last image": last})


def sampling_loss(
    model: SamplingNetwork, x: Tensor, config: Config, items: Sequence[str], plan: Plan | None
) -> tuple[Tensor, float]:
    """The loss of [training] on images x, (B, C, H, W), and the PSNR in dB of the last images.

    Args:
        model: measures and reconstructs.
        x: whose sides are multiples of the block's.
        config: the whole configuration.
        items: names of the images; their noise depends on it.
        plan: as for :meth:`SamplingNetwork.images`.
    """
    y, _ = disturbed(model.measure(x), config, items)
    first, last = model.images(y, (x.shape[2], x.shape[3]), plan)
    loss = loss_of(last - x, config.training.loss) + loss_of(first - x, config.training.loss)
    return loss, float(psnr(last.detach().clamp(0, 1), x).mean())
