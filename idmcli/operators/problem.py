"""A measured image as solvers see it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Generic, cast

import torch
from torch import Tensor
from typing_extensions import TypeVar

from idmcli.operators.base import Operator
from idmcli.operators.linear import LinearOperator

ITERATIONS_PER_STEP = 10  # of conjugate gradients, in each step of a method
A = TypeVar("A", bound=Operator, default=LinearOperator, covariant=True)


@dataclass(frozen=True)
class Problem(Generic[A]):
    """y = A x + n: find x. What needs A+ is for linear operators only.

    Attributes:
        operator: A. The type ``Problem[Operator]`` says that A may be any operator, and not a linear one only.
        y: measurements (B, \\*measurement_shape) of images x in [0, 1].
        noise: standard deviation of every measured number's noise, >= 0.
        mean: a constant that was subtracted from x, see :meth:`centred`.
        size: (H, W) of x before it was padded; as the operator's images if None.

    Example:
        >>> from idmcli.operators import Inpainting
        >>> problem = Problem(Inpainting((1, 1, 3), torch.tensor([[1, 0, 1]])), y=torch.tensor([[[0.2, 0.6]]]))
        >>> problem.first_guess(0.5)
        tensor([[[[0.2000, 0.4000, 0.6000]]]])
    """

    operator: A
    y: Tensor
    noise: float = 0.0
    mean: float = 0.0
    size: tuple[int, int] | None = None

    def centred(self, mean: float) -> Problem[A]:
        """The same problem for ``x - mean``, on the operator's padded domain, where ``A A^T = I`` if it ever is.

        The constant carries most of an image's energy, and solvers turn what their start lacks into noise.
        Padding pixels are zero before the subtraction. :meth:`image` leads back. It is the problem itself if A is not
        linear.
        """
        if not isinstance(self.operator, LinearOperator):
            return self
        constant = torch.full((1, *self.operator.image_shape), mean, dtype=self.y.real.dtype, device=self.y.device)
        if self.operator.complex_image:
            constant = constant.to(self.y.dtype.to_complex())
        y = self.y - self.operator.A(constant)
        return Problem(cast(A, self.operator.padded()), y, self.noise, mean, self.operator.image_shape[1:])

    def image(self, x: Tensor) -> Tensor:
        """An estimate of x as the image that was measured, (B, C, H, W): cropped and with the constant; not clipped."""
        height, width = self.size or self.operator.image_shape[1:]
        return x[..., :height, :width] + self.mean

    @cached_property
    def pinv(self: Problem) -> Tensor:
        """``A+ y``, (B, C, H, W)."""
        return self.operator.pinv(self.y)

    @property
    def start(self) -> Tensor:
        """The image that the operator starts from: :meth:`~idmcli.operators.LinearOperator.start`, or its rough inverse
        if it is not linear."""
        if isinstance(self.operator, LinearOperator):
            return self.operator.start(self.y, self.noise)
        return self.operator.rough_inverse(self.y)

    def first_guess(self, mean: float) -> Tensor:
        """An image to start from, (B, C, H, W): the operator's start, around a constant if it is linear."""
        centred = Problem(self.operator, self.y, self.noise).centred(mean)
        return centred.image(centred.start)

    def project(self: Problem, u: Tensor, gain: Tensor | float = 1.0) -> Tensor:
        """``u - gain A+ (A u - y)``: Eq. 2 with a step length."""
        return u - gain * self._pinv_of(self.operator.A(u) - self.y)

    def fitted(self, u: Tensor) -> Tensor:
        """The image nearest to u that meets the measurements: :meth:`project` if A is linear, and otherwise to first
        order around u."""
        if isinstance(self.operator, LinearOperator):
            return cast(Problem, self).project(u)
        return self.operator.prox(u, self.y, math.inf)

    def range_projection(self: Problem, u: Tensor) -> Tensor:
        """``A+ A u``."""
        return self._pinv_of(self.operator.A(u))

    def _pinv_of(self: Problem, residual: Tensor) -> Tensor:
        """A+ of a residual: exact in closed form, and otherwise by as few conjugate gradients as a step needs."""
        return self.operator.solve(residual, max_iterations=ITERATIONS_PER_STEP).x

    def residual_power(self, u: Tensor) -> Tensor:
        """Mean squared residual ``|y - A u|^2 / M`` of each channel of each image, (B, C, 1, 1).

        It is for operators that measure the channels separately, so that y is (B, C, ...).
        """
        residual = self.y - self.operator.A(u)
        return residual.abs().square().flatten(2).mean(2)[..., None, None]
