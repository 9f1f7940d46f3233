"""A linear operator of two functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import adjoint_deviation, linear_map
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, check_shape
from idmcli.operators.linear import LinearOperator

ADJOINT_TOLERANCE = 1e-3  # of single precision and of interpolation that differs a little between the two
Function = Callable[[Tensor], Any]  # gives a tensor, or what numpy makes an array of


class LinearMap(LinearOperator):
    """``y = A x`` by two functions of your own: A and its adjoint.

    Each of them is called with one tensor, without a batch: an image (C, H, W), or a measurement of
    ``measurement_shape``, on the device and in the precision of the data. It returns a tensor or a numpy array of the
    other shape, in any floating-point precision. It needs no derivative: derivatives come from the pair.

    With the first use comes a check that the two are adjoint: for random u and v, ``Re <A u, v>`` and
    ``Re <u, A^T v>`` must agree to 1e-3 of ``|A u| |v|``.

    Functions cannot be written to a file; a :class:`~idmcli.operators.MatrixOperator` and operator classes can.

    Args:
        forward: A.
        adjoint: A^T, or the conjugate transpose for complex numbers. For a real image under a complex transform it
            is the real part of the conjugate transpose.
        image_shape: (C, H, W).
        measurement_shape: the shape of one measurement.
        complex_image: whether images are complex.
        complex_measurements: whether measurements are complex.

    Raises:
        InputError: a shape is not valid. When used: a function returns a wrong type or shape, or the functions are not
            adjoint.

    Example:
        >>> columns = LinearMap(
        ...     lambda x: x[:, :, ::2],
        ...     lambda y: torch.nn.functional.pad(y[..., None], (0, 1)).flatten(2),
        ...     image_shape=(1, 2, 4),
        ...     measurement_shape=(1, 2, 2),
        ... )
        >>> columns.pinv(torch.ones(1, 1, 2, 2))
        tensor([[[[1., 0., 1., 0.],
                  [1., 0., 1., 0.]]]])
    """

    def __init__(
        self,
        forward: Function,
        adjoint: Function,
        image_shape: tuple[int, int, int],
        measurement_shape: tuple[int, ...],
        *,
        complex_image: bool = False,
        complex_measurements: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = check_image_shape(image_shape)
        self.measurement_shape = check_shape("measurement shape", measurement_shape)
        self.complex_image, self.complex_measurements = complex_image, complex_measurements
        self._functions = forward, adjoint
        self._adjointness_is_checked = False

    def A(self, x: Tensor) -> Tensor:
        self._check_adjointness(x)
        return linear_map(x, self._measure, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        self._check_adjointness(y)
        return linear_map(y, self._back_project, self._measure)

    def to_spec(self) -> Spec:
        raise InputError(
            "an operator of two functions cannot be written to a file",
            "give its matrix (MatrixOperator), or define a class of operators with to_spec and from_spec",
        )

    def _measure(self, x: Tensor) -> Tensor:
        return _each(x, self._functions[0], "forward function", self.measurement_shape, self.complex_measurements)

    def _back_project(self, y: Tensor) -> Tensor:
        return _each(y, self._functions[1], "adjoint function", self.image_shape, self.complex_image)

    @torch.no_grad()
    def _check_adjointness(self, like: Tensor) -> None:
        if self._adjointness_is_checked:
            return
        generator = torch.Generator().manual_seed(0)

        def draw(shape: tuple[int, ...], is_complex: bool) -> Tensor:
            dtype = like.dtype.to_complex() if is_complex else like.dtype.to_real()
            return torch.randn(1, *shape, generator=generator, dtype=dtype).to(like.device)

        u, w = draw(self.image_shape, self.complex_image), draw(self.measurement_shape, self.complex_measurements)
        deviation = adjoint_deviation(self._measure, self._back_project, u, w)
        if not deviation <= ADJOINT_TOLERANCE:
            raise InputError(
                "the adjoint function is not the adjoint of the forward function: Re <A u, v> and Re <u, A^T v> "
                f"differ by {deviation:.1e} of |A u| |v|",
                f"they may differ by {ADJOINT_TOLERANCE:g}; the adjoint of a matrix is its conjugate transpose",
            )
        self._adjointness_is_checked = True


def _each(batch: Tensor, function: Function, name: str, shape: tuple[int, ...], is_complex: bool) -> Tensor:
    """The results of a function for each part of a batch, in the precision of the batch."""
    dtype = batch.dtype.to_complex() if is_complex else batch.dtype.to_real()
    results = batch.new_empty(len(batch), *shape, dtype=dtype)
    for one, place in zip(batch.detach(), results, strict=True):
        found = function(one.clone())
        result = found.detach() if isinstance(found, Tensor) else _from_numpy(name, found)
        if tuple(result.shape) != shape:
            raise InputError(
                f"the {name} returns a result of shape {tuple(result.shape)}, not {shape}",
                "it is called with one image or measurement, without a batch, and returns one",
            )
        if result.is_complex() != is_complex or not (result.is_complex() or result.is_floating_point()):
            wanted = "complex" if is_complex else "real floating-point"
            raise InputError(
                f"the {name} returns {str(result.dtype).removeprefix('torch.')} numbers, not {wanted} ones",
                "convert its result, or say by complex_image and complex_measurements what is complex",
            )
        place.copy_(result)
    return results


def _from_numpy(name: str, found: Any) -> Tensor:
    try:
        return torch.tensor(np.ascontiguousarray(found))
    except (TypeError, ValueError) as error:
        raise InputError(f"the {name} returns {type(found).__name__}", "return a tensor or a numpy array") from error
