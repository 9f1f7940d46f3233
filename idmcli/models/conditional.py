"""A noise estimator that sees what was measured."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.models.denoiser import Denoiser, DenoiserConfig, scaled
from idmcli.models.learned import Learned


class ConditionalDenoiser(Learned):
    """A :class:`~idmcli.models.denoiser.Denoiser` that sees an image of the measurements beside the noisy one, as in
    SR3 (Saharia et al., IEEE TPAMI 2023).

    Attributes:
        config: the configuration of the denoiser.
    """

    kind = "sr3"
    config: DenoiserConfig

    def __init__(self, config: DenoiserConfig) -> None:
        super().__init__()
        self.config = config
        self.denoiser = Denoiser(config, inputs=2)

    @property
    def mean(self) -> float:
        """The constant to subtract from images in [0, 1], noisy or measured."""
        return self.denoiser.mean

    def average_over_turns(self) -> None:
        self.denoiser.ensemble = True

    def forward(self, r: Tensor, sigma: Tensor, condition: Tensor, number: int = 0) -> tuple[Tensor, Tensor]:
        """Denoised image and unit noise of r, (B, C, H, W), under a turn of that number.

        Args:
            r: noisy images.
            sigma: their noise levels, (B, 1 or C, 1, 1).
            condition: what was measured, as images like r.
            number: of the turn, see :func:`idmcli.models.turns.turn`.

        Raises:
            InputError: a grey image and a network for colour.
        """
        pairs = torch.stack([scaled(r, sigma), condition], 2).flatten(1, 2)
        e = self.denoiser.noise(pairs, sigma, number=number)
        return r - sigma * e, e
