"""What training and reconstruction know of a network that reconstructs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn

from idmcli.operators.linear import LinearOperator
from idmcli.reversible.plan import Plan


class Network(nn.Module, ABC):
    """Maps measurements to images, for any operator and any memory plan.

    Attributes:
        config: the dataclass that builds it.
        trained_for: the task and the images it was trained for; see :func:`idmcli.models.checkpoints.save_weights`.
        training_record: how it was trained, for the record.
    """

    config: Any
    trained_for: dict[str, Any] | None = None
    training_record: dict[str, Any] = {}

    @abstractmethod
    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None, noise: float = 0.0) -> Tensor:
        """Images (B, C, H, W) from measurements (B, \\*measurement_shape); not clipped.

        Args:
            y: measurements.
            operator: what took them.
            plan: what each step keeps for the backward pass; everything if None. The result is the same.
            noise: standard deviation of the noise of every measured number, of the real and of the imaginary part of a
                complex one. Of the rules of sampling steps, "splitting" has a use for it.

        Raises:
            InputError: the network cannot handle the operator.
        """

    @torch.no_grad()
    def reconstruct(self, y: Tensor, operator: LinearOperator, noise: float = 0.0) -> Tensor:
        """:meth:`forward` without gradients, clipped to [0, 1]."""
        x: Tensor = self(y, operator, noise=noise)
        return x.clamp(0, 1)
