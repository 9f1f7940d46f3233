"""The contract of a measurement operator: y = A x, linear or not."""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import partial
from math import prod
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.numerics.conjugate_gradient import Solution, conjugate_gradient
from idmcli.numerics.linear_map import linear_map
from idmcli.numerics.power_iteration import largest_eigenvalue

__all__ = ["Gram", "LinearOperator", "Operator", "Solution", "Spec", "Spectrum"]

Spec = dict[str, Any]
ALL_WEIGHT = 1e12  # of measurements beside an image: the rest is beyond single precision, which must not overflow
CACHED = ("_padded", "_decomposition")  # what an operator computes once, from its tensors


class Operator(nn.Module, ABC):
    """A map A from batches of images to batches of measurements.

    Images are (B, C, H, W) with ``image_shape = (C, H, W)``, measurements (B, \\*measurement_shape),
    both in single or double precision; lower precisions are refused, because they lose the data.
    An operator is a value: everything that defines it is fixed when it is built, its tensors are
    buffers outside the state dict, :meth:`to` gives a copy elsewhere, and it holds no noise model and
    no solver option.

    Attributes:
        kind: the registry name, that of the task ("cs", "deblur", "hdr", ...).
        image_shape: (C, H, W), before any padding of the operator's own.
        measurement_shape: shape of one measurement.
        complex_image, complex_measurements: whether these tensors hold complex numbers.
        unknown_name: what the specification calls :attr:`unknown`.
    """

    kind: str
    image_shape: tuple[int, int, int]
    measurement_shape: tuple[int, ...]
    complex_image: bool = False
    complex_measurements: bool = False
    unknown_name: str = ""

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """Measure: (B, \\*image_shape) to (B, \\*measurement_shape)."""

    @abstractmethod
    def rough_inverse(self, y: Tensor) -> Tensor:
        """An image to start from, (B, \\*image_shape): cheap, and not worse where y is noisy."""

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        """``J u`` with the Jacobian J of :meth:`A` at x: like measurements; the derivative of ``J^T v`` in v."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            y = self.A(x)
            v = torch.zeros_like(y).requires_grad_()
            (back,) = torch.autograd.grad(y, x, v, create_graph=True)
            (product,) = torch.autograd.grad(back, v, u)
        return product

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        """``J^T v`` with the Jacobian J of :meth:`A` at x: like images."""
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            (product,) = torch.autograd.grad(self.A(x), x, v)
        return product

    def squared_norm(self, y: Tensor) -> float:
        """``|J|^2``, the largest singular value squared, from below, with the Jacobian J at the rough inverse of y."""
        at = self.rough_inverse(y[:1])
        return largest_eigenvalue(lambda u: self.vjp(at, self.jvp(at, u)), self.vjp(at, y[:1]))

    @property
    def unknown(self) -> float | None:
        """The number > 0 of this operator that blind methods estimate (a gain, a width); None where there is none."""
        return None

    def with_unknown(self, value: float) -> Self:
        """The same operator with another value > 0 of :attr:`unknown`, or the nearest that it can have."""
        raise NotImplementedError

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

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """A copy on another device or in another precision, as ``nn.Module.to``; this one stays as it is."""
        return nn.Module.to(self._copy(), *args, **kwargs)

    def _copy(self) -> Self:
        """Another operator with the same tensors."""
        other = copy.copy(self)
        other.__dict__ = {name: value for name, value in self.__dict__.items() if name not in CACHED}
        other._buffers = dict(self._buffers)
        other._modules = {name: part._copy() for name, part in self._modules.items() if isinstance(part, Operator)}
        return other

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
                f"the {self.kind} operator takes {what} of shape ({expected}), not {tuple(t.shape)}",
                "build the operator for this size",
            )
        dtypes = (torch.complex64, torch.complex128) if is_complex else (torch.float32, torch.float64)
        if t.dtype not in dtypes:
            names = " or ".join(str(d).removeprefix("torch.") for d in dtypes)
            raise InputError(
                f"the {self.kind} operator takes {what} in {names}, not {str(t.dtype).removeprefix('torch.')}",
                "convert the tensor first",
            )


class Spectrum(NamedTuple):
    """The singular value decomposition ``A = U S V^T`` of a linear operator, in closed form.

    Singular values too small for single precision are left out, and their coordinates are not measured.

    Attributes:
        values: S, (C, M'): the singular values of each channel.
        to_range: ``U^T``, measurements (B, \\*measurement_shape) to coordinates (B, C, M').
        to_basis: ``V^T``, images (B, C, H, W) to coordinates (B, C, N'): first those that S measures, then the others.
        from_basis: ``V``, its inverse.
    """

    values: Tensor
    to_range: Callable[[Tensor], Tensor]
    to_basis: Callable[[Tensor], Tensor]
    from_basis: Callable[[Tensor], Tensor]


class Gram(NamedTuple):
    """A map ``U g U^T`` of measurements with an orthogonal U that is near ``A A^T``: what preconditions a solver.

    Attributes:
        values: g > 0, the gains: one, or of the shape that ``to`` gives.
        to: ``U^T``.
        back: ``U``.
    """

    values: Tensor
    to: Callable[[Tensor], Tensor]
    back: Callable[[Tensor], Tensor]

    @property
    def gain(self) -> float:
        """The mean of g: by what A makes squares larger, roughly; 1 for a tight operator."""
        return float(self.values.mean())

    def scaled(self, factors: Tensor, y: Tensor) -> Tensor:
        """``U f U^T y``."""
        return self.back(factors * self.to(y))


class LinearOperator(Operator):
    """A linear map, with its adjoint and what follows from it.

    For complex spaces the inner product is ``Re <a, b>``, so that a real image under a complex transform
    has the adjoint ``Re A^H``.

    Attributes:
        tight: whether ``A A^T = I`` on the range of A, so that ``A+ = A^T`` exactly.
        mixing: whether every measurement mixes pixels from all over the padded image at random, so that the
            error of ``A^T y`` looks like white noise, which message passing relies on.
    """

    tight: bool
    mixing: bool = False

    @abstractmethod
    def AT(self, y: Tensor) -> Tensor:
        """The exact adjoint of :meth:`A`: (B, \\*measurement_shape) to (B, \\*image_shape)."""

    def rough_inverse(self, y: Tensor) -> Tensor:
        """``A^T y / |A|^2``."""
        return self.AT(y) / self.squared_norm(y)

    def jvp(self, x: Tensor, u: Tensor) -> Tensor:
        return self.A(u)

    def vjp(self, x: Tensor, v: Tensor) -> Tensor:
        return self.AT(v)

    def padded(self) -> LinearOperator:
        """The same measurements as an operator on padded images: ``padded().A(pad(x)) == A(x)``."""
        return self

    def normal(self, x: Tensor) -> Tensor:
        """``A^T A x``."""
        return self.AT(self.A(x))

    def solve(
        self,
        y: Tensor,
        *,
        tolerance: float = 1e-5,
        max_iterations: int = 200,
        progress: Callable[[int, int], None] = lambda done, most: None,
    ) -> Solution:
        """The minimum-norm least-squares image ``A+ y``, with the status of the solver.

        Closed form where the operator has one (then the options are not used): ``A^T y`` if it is tight,
        ``V S^-1 U^T y`` if its spectrum is known. Otherwise conjugate gradients on ``A^T A x = A^T y``,
        to ``tolerance`` on the relative residual.
        The derivative is that of A+, ``(A+)^T x = (A A^T)+ A x``, from conjugate gradients too.
        """
        if self.tight:
            return Solution(self.AT(y), 0, 0.0, True)
        self.check_measurements(y)
        spectrum = self.spectrum()
        if spectrum is not None:
            return Solution(self._from_measured(spectrum, spectrum.to_range(y) / spectrum.values.to(y)), 0, 0.0, True)
        cg = partial(conjugate_gradient, tolerance=tolerance, max_iterations=max_iterations)
        solved: list[Solution] = []  # without x, which holds on to this very function where it has a gradient

        def invert(y: Tensor) -> Tensor:
            solution = cg(self.normal, self.AT(y), progress=progress)
            solved.append(solution._replace(x=y.new_empty(0)))
            return solution.x

        def invert_adjoint(x: Tensor) -> Tensor:
            return cg(lambda z: self.A(self.AT(z)), self.A(x)).x

        x = linear_map(y, invert, invert_adjoint)
        return solved[0]._replace(x=x)

    def pinv(self, y: Tensor) -> Tensor:
        """``A+ y``: :meth:`solve` without the status."""
        return self.solve(y).x

    def project(self, x: Tensor, y: Tensor) -> Tensor:
        """Range-null-space projection ``x - A+ (A x - y)`` (Eq. 2): the nearest image with A x = y."""
        return x - self.pinv(self.A(x) - y)

    def prox(self, z: Tensor, y: Tensor, rho: Tensor | float, *, max_iterations: int = 10) -> Tensor:
        """The regularised inverse ``argmin_x |x - z|^2 + rho |A x - y|^2``.

        ``z + rho A^T (y - A z) / (1 + rho)`` for a tight operator, ``z + V rho S (U^T y - S V^T z) / (1 + rho S^2)``
        where the spectrum is known, else by conjugate gradients.

        Args:
            z: images (B, \\*image_shape).
            y: measurements (B, \\*measurement_shape).
            rho: weight of the measurements, >= 0; one number, of which more than :data:`ALL_WEIGHT` counts as that.
            max_iterations: of conjugate gradients.
        """
        rho = rho.clamp_max(ALL_WEIGHT) if isinstance(rho, Tensor) else min(rho, ALL_WEIGHT)
        spectrum = None if self.tight else self.spectrum()
        if spectrum is not None:
            s = spectrum.values.to(y)
            difference = spectrum.to_range(y) - s * spectrum.to_basis(z)[..., : s.shape[1]]
            return z + self._from_measured(spectrum, rho * s * difference / (1 + rho * s**2))
        pull = rho * self.AT(y - self.A(z))
        if self.tight:
            return z + pull / (1 + rho)
        return z + conjugate_gradient(lambda d: d + rho * self.normal(d), pull, max_iterations=max_iterations).x

    def spectrum(self) -> Spectrum | None:
        """The singular value decomposition, where it is known in closed form."""
        return None

    def squared_norm(self, y: Tensor) -> float:
        """``|A|^2``: 1 for a tight operator, otherwise of the spectrum, or by power iteration from below."""
        if self.padded().tight:
            return 1.0
        spectrum = self.spectrum()
        if spectrum is not None:
            return float(spectrum.values.max()) ** 2
        return largest_eigenvalue(self.normal, self.AT(y[:1]))

    def gram(self, y: Tensor) -> Gram:
        """``A A^T``, or what is near it in shape and simple: here ``|A|^2``. ``y`` says where to compute."""
        return Gram(y.real.new_tensor(self.squared_norm(y)), lambda y: y, lambda y: y)

    def _from_measured(self, spectrum: Spectrum, coordinates: Tensor) -> Tensor:
        """The image with these coordinates where A measures, and zero elsewhere."""
        unmeasured = self.image_shape[1] * self.image_shape[2] - coordinates.shape[2]
        return spectrum.from_basis(nn.functional.pad(coordinates, (0, unmeasured)))
