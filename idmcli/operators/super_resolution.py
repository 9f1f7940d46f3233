"""Super-resolution: the image is seen at a lower resolution."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape, check_integer
from idmcli.operators.linear import LinearOperator, Spectrum
from idmcli.operators.spec import Specification
from idmcli.operators.spectra import kronecker_spectrum, sandwich
from idmcli.operators.stored import check_arrays

MAX_FACTOR = 64
MAX_ENTRIES = 2**27  # of each of the two matrices, which take 8 bytes for each
Filter = Literal["bicubic", "average"]


class SuperResolutionSpecification(Specification):
    """The factor and the filter."""

    factor: int
    filter: str = "bicubic"


class SuperResolution(LinearOperator):
    """``Y = R X C^T``: every factor-th pixel of a filtered image, (batch, C, ceil(H / factor), ceil(W / factor)).

    "bicubic" is Keys' cubic (a = -1/2) stretched by the factor, for an image that is mirrored at its edges. MATLAB's
    imresize does the same, and the field calls it bicubic down-sampling. "average" is the mean of each block of
    factor x factor pixels; blocks at the bottom and right have fewer where the size is no multiple. A+ and the
    regularised inverse have a closed form by the decompositions of the two small matrices.

    Args:
        image_shape: (C, H, W).
        factor: 2 to 64.
        filter: "bicubic" or "average".

    Raises:
        InputError: one of them is out of range, or the image is too long: 16,384 pixels for a factor of 2.

    Example:
        >>> SuperResolution((1, 2, 4), 2, filter="average").A(torch.arange(8.0).view(1, 1, 2, 4))
        tensor([[[[2.5000, 4.5000]]]])
    """

    kind = "sr"
    rows: Tensor
    columns: Tensor

    def __init__(self, image_shape: tuple[int, int, int], factor: int, *, filter: str = "bicubic") -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        if filter not in get_args(Filter):
            raise InputError(f"the filter is {filter!r}", "it must be 'bicubic' or 'average'")
        self.factor, self.filter = check_integer("factor", factor, 2, MAX_FACTOR), filter
        side = max(height, width)
        if side * -(-side // self.factor) > MAX_ENTRIES:
            raise InputError(
                f"super-resolution by {self.factor} of {height} x {width} pixels takes a matrix of "
                f"{-(-side // self.factor)} x {side} numbers",
                f"it may have {MAX_ENTRIES}: cut the image",
            )
        matrix = bicubic_matrix if filter == "bicubic" else averaging_matrix
        self.register_buffer("rows", matrix(height, self.factor), persistent=False)
        self.register_buffer("columns", matrix(width, self.factor), persistent=False)
        self.measurement_shape = (channels, len(self.rows), len(self.columns))

    def A(self, x: Tensor) -> Tensor:
        return sandwich(self.rows, x, self.columns)

    def AT(self, y: Tensor) -> Tensor:
        return sandwich(self.rows.T, y, self.columns.T)

    def spectrum(self) -> Spectrum:
        return self._decomposition

    @cached_property
    def _decomposition(self) -> Spectrum:
        return kronecker_spectrum(self.rows, self.columns, self.image_shape[0])

    def to_spec(self) -> Spec:
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "factor": self.factor,
            "filter": self.filter,
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = SuperResolutionSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(read.image_shape, read.factor, filter=read.filter)


def averaging_matrix(size: int, factor: int) -> Tensor:
    """The means of each ``factor`` pixels of a line, and of the rest: (ceil(size / factor), size), float64."""
    block = torch.arange(size) // factor
    member = (block == torch.arange(-(-size // factor))[:, None]).double()
    return member / member.sum(1, keepdim=True)


def bicubic_matrix(size: int, factor: int) -> Tensor:
    """The cubic of Keys (IEEE TASSP 29, 1981) over 4 ``factor`` pixels: (ceil(size / factor), size), float64."""
    centre = (torch.arange(-(-size // factor), dtype=torch.float64) + 0.5) * factor - 0.5
    reach = torch.arange(-2 * factor, 2 * factor + 1)
    position = centre.floor().long()[:, None] + reach
    t = (position - centre[:, None]).abs() / factor
    near, far = 1.5 * t**3 - 2.5 * t**2 + 1, -0.5 * t**3 + 2.5 * t**2 - 4 * t + 2
    weights = torch.where(t <= 1, near, torch.where(t < 2, far, 0))
    around = position % (2 * size)
    mirrored = torch.minimum(around, 2 * size - 1 - around)
    matrix = torch.zeros(len(centre), size, dtype=torch.float64).scatter_add(1, mirrored, weights)
    return matrix / matrix.sum(1, keepdim=True)
