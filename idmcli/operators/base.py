"""The contract of a measurement operator y = A x."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from functools import partial
from math import prod
from typing import Any, Self

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.operators.conjugate_gradient import Solution, conjugate_gradient
from idmcli.operators.linear_map import linear_map

__all__ = ["LinearOperator", "Solution", "Spec"]

Spec = dict[str, Any]


class LinearOperator(nn.Module, ABC):
    """A linear map between batches of images and batches of measurements.

    Images are (B, C, H, W) with ``image_shape = (C, H, W)``, measurements (B, \\*measurement_shape),
    both in single or double precision; lower precisions are refused, because they lose the data.
    An operator is a value: everything that defines it is fixed when it is built, its tensors are
    buffers outside the state dict (``.to(device)`` and ``.double()`` work), and it holds no noise
    model, no solver option and no state. For complex spaces the inner product is ``Re <a, b>``, so
    that a real image under a complex transform has the adjoint ``Re A^H``.

    Attributes:
        kind: the registry name ("cs", "inpainting", "mri", "ct").
        image_shape: (C, H, W), before any padding of the operator's own.
        measurement_shape: shape of one measurement.
        tight: whether ``A A^T = I`` on the range of A, so that ``A+ = A^T`` exactly.
        complex_image, complex_measurements: whether these tensors hold complex numbers.
    """

    kind: str
    image_shape: tuple[int, int, int]
    measurement_shape: tuple[int, ...]
    tight: bool
    complex_image: bool = False
    complex_measurements: bool = False

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """Measure: (B, \\*image_shape) to (B, \\*measurement_shape)."""

    @abstractmethod
    def AT(self, y: Tensor) -> Tensor:
        """The exact adjoint of :meth:`A`: (B, \\*measurement_shape) to (B, \\*image_shape)."""

    @abstractmethod
    def to_spec(self) -> Spec:
        """A JSON-able description that, with :meth:`arrays`, rebuilds the operator bit for bit."""

    @classmethod
    @abstractmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        """The inverse of :meth:`to_spec`; keys with a default and the checksums may be missing."""

    def arrays(self) -> Mapping[str, Tensor]:
        """What a seed cannot regenerate (a mask from a file, sensitivity maps, a matrix given)."""
        return {}

    @property
    def ratio(self) -> float:
        """Measurements per image value, M / N (complex numbers count once)."""
        return prod(self.measurement_shape) / prod(self.image_shape)

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        """The shape of :meth:`pad`'s result; ``image_shape`` where the operator needs no padding."""
        return self.image_shape

    def pad(self, x: Tensor) -> Tensor:
        """Extend images by zeros at the bottom and right to ``padded_shape``."""
        _, height, width = self.padded_shape
        return nn.functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))

    def crop(self, x: Tensor) -> Tensor:
        """The adjoint of :meth:`pad`: padded images to ``image_shape``."""
        _, height, width = self.image_shape
        return x[..., :height, :width]

    def padded(self) -> LinearOperator:
        """The same measurements as an operator on padded images: ``padded().A(pad(x)) == A(x)``."""
        return self

    def normal(self, x: Tensor) -> Tensor:
        """``A^T A x``."""
        return self.AT(self.A(x))

    def solve(self, y: Tensor, *, tolerance: float = 1e-5, max_iterations: int = 200) -> Solution:
        """The minimum-norm least-squares image ``A+ y``, with the status of the solver.

        Closed form where the operator has one (then the options are not used), otherwise
        conjugate gradients on ``A^T A x = A^T y``, to ``tolerance`` on the relative residual.
        The derivative is that of A+, ``(A+)^T x = (A A^T)+ A x``, from conjugate gradients too.
        """
        if self.tight:
            return Solution(self.AT(y), 0, 0.0, True)
        self.check_measurements(y)
        cg = partial(conjugate_gradient, tolerance=tolerance, max_iterations=max_iterations)
        solutions: list[Solution] = []

        def invert(y: Tensor) -> Tensor:
            solutions.append(cg(self.normal, self.AT(y)))
            return solutions[-1].x

        def invert_adjoint(x: Tensor) -> Tensor:
            return cg(lambda z: self.A(self.AT(z)), self.A(x)).x

        x = linear_map(y, invert, invert_adjoint)
        return solutions[0]._replace(x=x)

    def pinv(self, y: Tensor) -> Tensor:
        """``A+ y``: :meth:`solve` without the status."""
        return self.solve(y).x

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Range-null-space projection ``x - A+ (A x - y)`` (Eq. 2): the nearest image with A x = y."""
        return x - self.pinv(self.A(x) - y)

    def check_image(self, x: Tensor) -> None:
        """Raise InputError unless x is a batch of images of this operator."""
        self._check("images", x, self.image_shape, self.complex_image)

    def check_measurements(self, y: Tensor) -> None:
        """Raise InputError unless y is a batch of measurements of this operator."""
        self._check("measurements", y, self.measurement_shape, self.complex_measurements)

    def _check(self, what: str, t: Tensor, shape: tuple[int, ...], is_complex: bool) -> None:
        if t.shape[1:] != shape or t.ndim != len(shape) + 1:
            expected = ", ".join(str(n) for n in ("batch", *shape))
            raise InputError(
                f"The {self.kind} operator takes {what} of shape ({expected}), not {tuple(t.shape)}.",
                "Build the operator for this size.",
            )
        dtypes = (torch.complex64, torch.complex128) if is_complex else (torch.float32, torch.float64)
        if t.dtype not in dtypes:
            names = " or ".join(str(d).removeprefix("torch.") for d in dtypes)
            raise InputError(
                f"The {self.kind} operator takes {what} in {names}, not {str(t.dtype).removeprefix('torch.')}.",
                "Convert the tensor first.",
            )
