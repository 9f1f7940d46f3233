"""A measured image as solvers see it: centred, and padded to where A is simplest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.operators.base import LinearOperator


@dataclass(frozen=True)
class Problem:
    """y = A x with a constant subtracted from x, on the operator's padded domain.

    Attributes:
        operator: the operator on the padded domain, where ``A A^T = I`` if it ever is.
        y: measurements of the centred image, (B, \\*measurement_shape).
        back_projection: ``A+ y``, (B, C, H, W).
        mean: the constant.
    """

    operator: LinearOperator
    y: Tensor
    back_projection: Tensor
    mean: float

    @staticmethod
    def centred(operator: LinearOperator, y: Tensor, mean: float) -> Problem:
        """Subtract ``mean`` from the image that ``y`` measures; padding pixels stay zero before it."""
        padded = operator.padded()
        constant = torch.full((1, *operator.image_shape), mean, dtype=torch.float32, device=y.device)
        y = y - operator.A(constant)
        return Problem(padded, y, padded.pinv(y), mean)

    def project(self, u: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """``u - gain A+ (A u - y)``: Eq. 2 with a step length."""
        return u - gain * self.operator.pinv(self.operator.A(u) - self.y)

    def residual_power(self, u: Tensor) -> Tensor:
        """Mean squared residual ``|y - A u|^2 / M`` of each image, (B, 1, 1, 1)."""
        residual = self.y - self.operator.A(u)
        return residual.abs().square().flatten(1).mean(1)[:, None, None, None]
