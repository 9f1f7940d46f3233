"""The contract of a measurement operator: y = A(x), linear or not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from functools import wraps
from math import prod
from typing import Any, Self, TypeVar, cast

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.numerics.conjugate_gradient import conjugate_gradient
from idmcli.numerics.linear_map import no_autocast
from idmcli.numerics.power_iteration import largest_eigenvalue
from idmcli.operators.linearisation import Linearisation, differentiated
from idmcli.operators.value import Value

Spec = dict[str, Any]
Op = TypeVar("Op", bound="Operator")
LARGEST_WEIGHT = 1e12  # of the measurements in the regularised inverse; single precision overflows with larger ones


def _guarded(
    method: Callable[[Op, Tensor], Tensor], check: Callable[[Op, Tensor], None]
) -> Callable[[Op, Tensor], Tensor]:
    """A or its adjoint with its input checked, and in the precision of its input under autocast."""

    @wraps(method)
    def guarded(self: Op, t: Tensor) -> Tensor:
        check(self, t)
        with no_autocast(t):
            return method(self, t)

    return guarded


class _ClassName:
    """The name of the class that it is looked up on, in lower case."""

    def __get__(self, instance: object, owner: type) -> str:
        return owner.__name__.lower()


class Operator(Value, ABC):
    """A map A from batches of images to batches of measurements.

    Images are (B, C, H, W) with ``image_shape = (C, H, W)``, measurements (B, \\*measurement_shape),
    both in single or double precision; lower precisions are refused, because they lose the data.
    An operator is a value: everything that defines it is fixed when it is built, its tensors are
    buffers outside the state dict, :meth:`to`, ``double``, ``float``, ``cpu`` and ``cuda`` give copies, and it holds
    no noise model and no solver option.

    A subclass defines the two shapes, :meth:`A` and :meth:`rough_inverse`. Its derivatives come from automatic
    differentiation of A unless it defines :meth:`linearised`. The input of A, and of the adjoint of a linear operator,
    is checked before, and autocast does not reach them: measurements in half precision would be lost.

    Attributes:
        kind: the name in specifications and messages; the name of the class in lower case unless it is set.
        image_shape: (C, H, W), before any padding of the operator's own.
        measurement_shape: shape of one measurement.
        complex_image, complex_measurements: whether these tensors hold complex numbers.
        unknown_name: what the specification calls :attr:`unknown`.

    Example:
        >>> class Squares(Operator):
        ...     image_shape = (1, 4, 4)
        ...     measurement_shape = (1, 4, 4)
        ...
        ...     def A(self, x):
        ...         return x**2
        ...
        ...     def rough_inverse(self, y):
        ...         return y.sqrt()
        >>> squares, x = Squares(), torch.full((1, 1, 4, 4), 3.0)
        >>> squares.linearised(x).vjp(torch.ones_like(x)).unique()
        tensor([6.])
    """

    kind: str = cast(str, _ClassName())
    image_shape: tuple[int, int, int]
    measurement_shape: tuple[int, ...]
    complex_image: bool = False
    complex_measurements: bool = False
    unknown_name: str = ""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name, check in (("A", Operator.check_image), ("AT", Operator.check_measurements)):
            if name in vars(cls):
                setattr(cls, name, _guarded(vars(cls)[name], check))

    @abstractmethod
    def A(self, x: Tensor) -> Tensor:
        """Measure: (B, \\*image_shape) to (B, \\*measurement_shape)."""

    @abstractmethod
    def rough_inverse(self, y: Tensor) -> Tensor:
        """An image to start from, (B, \\*image_shape): it is cheap, and noise in y does not make it worse."""

    def linearised(self, x: Tensor) -> Linearisation:
        """A to first order around images x: its value there, and products with its Jacobian and with the adjoint."""
        return differentiated(self.A, x)

    def misfit(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The residual ``u = A(x) - y`` of images x, and the gradient ``J^T u`` of ``|u|^2 / 2``."""
        at = self.linearised(x)
        residual = at.value - y
        return residual, at.vjp(residual)

    def prox(self, z: Tensor, y: Tensor, rho: Tensor | float, *, max_iterations: int = 10) -> Tensor:
        """``argmin_x |x - z|^2 + rho |A(x) - y|^2`` to first order around z: one step of Gauss and Newton.

        It is ``z + d`` with ``(I + rho J^T J) d = rho J^T (y - A(z))`` and the Jacobian J at z, by conjugate gradients
        that :meth:`near_inverse` preconditions. It is exact for a linear operator, up to their number.

        Args:
            z: images (B, \\*image_shape).
            y: measurements (B, \\*measurement_shape).
            rho: weight of the measurements, one number >= 0; larger ones than 1e12 count as that.
            max_iterations: of conjugate gradients.

        Returns:
            the images (B, \\*image_shape).
        """
        rho, at = limited(rho), self.linearised(z)
        step = conjugate_gradient(
            lambda d: d + rho * at.vjp(at.jvp(d)),
            rho * at.vjp(y - at.value),
            max_iterations=max_iterations,
            precondition=lambda r: self.near_inverse(r, rho),
        )
        return z + step.x

    def near_inverse(self, r: Tensor, rho: Tensor | float) -> Tensor:
        """A map of images near ``(I + rho J^T J)^-1``, self-adjoint and positive definite: here the identity."""
        return r

    def squared_norm(self, y: Tensor) -> float:
        """``|J|^2``, the largest singular value squared, with the Jacobian J at the rough inverse of y.

        Power iteration approaches it from below.
        """
        at = self.linearised(self.rough_inverse(y[:1]))
        return largest_eigenvalue(lambda u: at.vjp(at.jvp(u)), at.vjp(y[:1]))

    @property
    def unknown(self) -> float | None:
        """The number > 0 of this operator that blind methods estimate (a gain, a width); None where there is none."""
        return None

    def with_unknown(self, value: float) -> Self:
        """The same operator with another value > 0 of :attr:`unknown`, or the nearest that it can have."""
        raise NotImplementedError

    def to_spec(self) -> Spec:
        """A JSON-able description that, with :meth:`arrays`, rebuilds the operator bit for bit.

        Raises:
            InputError: the class does not define one.
        """
        raise InputError(
            f"the {self.kind} operator cannot be written to a file",
            "define to_spec, from_spec and, for its tensors, arrays in its class, and register the class as an entry "
            "point of idmcli.operators",
        )

    @classmethod
    def fewest_measurements(cls, spec: Mapping[str, Any]) -> int:
        """How many measured numbers a specification has at least, told before anything is made of it; 1 if that is not
        known. Errors as :meth:`from_spec`."""
        return 1

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        """The inverse of :meth:`to_spec`; keys with a default and the checksums may be missing.

        Raises:
            InputError: the specification or the arrays are wrong, or the class does not define this method.
        """
        raise InputError(f"{cls.__name__} cannot be read from a file", "define from_spec in its class")

    def arrays(self) -> Mapping[str, Tensor]:
        """The tensors that a specification cannot hold (a mask from a file, sensitivity maps, a given matrix)."""
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
        if self.padded_shape == self.image_shape:
            return x
        _, height, width = self.padded_shape
        return nn.functional.pad(x, (0, width - x.shape[-1], 0, height - x.shape[-2]))

    def crop(self, x: Tensor) -> Tensor:
        """The adjoint of :meth:`pad`: padded images to ``image_shape``."""
        if self.padded_shape == self.image_shape:
            return x
        _, height, width = self.image_shape
        return x[..., :height, :width]

    def check_image(self, x: Tensor) -> None:
        """Raise InputError unless x is a batch of images of this operator."""
        self._check("images", x, self.image_shape, self.complex_image)

    def check_measurements(self, y: Tensor) -> None:
        """Raise InputError unless y is a batch of measurements of this operator."""
        self._check("measurements", y, self.measurement_shape, self.complex_measurements)

    def _check(self, what: str, t: object, shape: tuple[int, ...], is_complex: bool) -> None:
        if not isinstance(t, Tensor):
            raise InputError(
                f"the {self.kind} operator takes {what} as tensors, not {type(t).__name__}",
                "convert them first, an array by torch.from_numpy",
            )
        if tuple(t.shape[1:]) != tuple(shape) or t.ndim != len(shape) + 1:
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


def limited(rho: Tensor | float) -> Tensor | float:
    """A weight of the measurements that single precision can bear."""
    return rho.clamp_max(LARGEST_WEIGHT) if isinstance(rho, Tensor) else min(rho, LARGEST_WEIGHT)
