"""The interface of a network that reconstructs, for training and for methods."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor

from idmcli.models.learned import Learned
from idmcli.operators.linear import LinearOperator
from idmcli.reversible.plan import Plan


class Network(Learned, ABC):
    """Maps measurements to images, for any operator and any memory plan."""

    @abstractmethod
    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None, noise: float = 0.0) -> Tensor:
        """Images (B, C, H, W) from measurements (B, \\*measurement_shape); not clipped.

        Args:
            y: measurements.
            operator: what took them.
            plan: what each step keeps for the backward pass; everything if None. The result is the same.
            noise: standard deviation of the noise of every measured number, of the real and of the imaginary part of a
                complex one. Only the rule "splitting" uses it.

        Raises:
            InputError: the network cannot handle the operator.
        """

    @torch.no_grad()
    def reconstruct(self, y: Tensor, operator: LinearOperator, noise: float = 0.0) -> Tensor:
        """:meth:`forward` without gradients, clipped to [0, 1]."""
        x: Tensor = self(y, operator, noise=noise)
        return x.clamp(0, 1)
