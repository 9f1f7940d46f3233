"""A measured image as solvers see it: centred, and padded to where A is simplest."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators import CompressedSensing, LinearOperator

STEP_ITERATIONS = 10


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
        """Subtract ``mean`` from the image that ``y`` measures; padding pixels stay zero before it.

        Raises:
            InputError: the image is complex, which no prior is trained for.
        """
        if operator.complex_image:
            raise InputError("learned methods reconstruct real images, not complex ones", "use --method tikhonov or tv")
        padded = operator.padded()
        constant = torch.full((1, *operator.image_shape), mean, dtype=y.real.dtype, device=y.device)
        y = y - operator.A(constant)
        return Problem(padded, y, padded.pinv(y), mean)

    def project(self, u: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """``u - gain A+ (A u - y)``: Eq. 2 with a step length."""
        return u - gain * self._pinv(self.operator.A(u) - self.y)

    def range_projection(self, u: Tensor) -> Tensor:
        """``A+ A u``."""
        return self._pinv(self.operator.A(u))

    def _pinv(self, residual: Tensor) -> Tensor:
        """A+, exactly if in closed form; steps of an iteration need no more than a few conjugate gradients."""
        return self.operator.solve(residual, max_iterations=STEP_ITERATIONS).x

    def residual_power(self, u: Tensor) -> Tensor:
        """Mean squared residual ``|y - A u|^2 / M`` of each channel of each image, (B, C, 1, 1).

        For operators that measure the channels separately, y being (B, C, ...).
        """
        residual = self.y - self.operator.A(u)
        return residual.abs().square().flatten(2).mean(2)[..., None, None]


def is_structurally_random(operator: LinearOperator) -> bool:
    """Whether every measurement mixes pixels from all over the image at random, with ``A A^T = I``.

    Then the error of a back-projection looks like white noise, which message passing relies on.
    """
    return isinstance(operator, CompressedSensing) and operator.permutation is not None
