"""Super-resolution: the image is seen at a lower resolution."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.base import LinearOperator, Spec, Spectrum
from idmcli.operators.spec import check_arrays, check_image_shape, check_keys
from idmcli.operators.spectra import kronecker_spectrum, sandwich

MAX_FACTOR = 64
Filter = Literal["bicubic", "average"]


class SuperResolution(LinearOperator):
    """``Y = R X C^T``: every factor-th pixel of a filtered image, (batch, C, ceil(H / factor), ceil(W / factor)).

    "bicubic" is Keys' cubic (a = -1/2) stretched by the factor, the image being mirrored at its edges: MATLAB's
    imresize, which the field calls bicubic down-sampling. "average" is the mean of each block of factor x factor
    pixels, fewer at the bottom and right of sizes that are no multiples. A+ and the regularised inverse have a
    closed form by the decompositions of the two small matrices.

    Args:
        image_shape: (C, H, W).
        factor: 2 to 64.
        filter: "bicubic" or "average".

    Raises:
        InputError: one of them is out of range.
    """

    kind = "sr"
    tight = False
    rows: Tensor
    columns: Tensor

    def __init__(self, image_shape: tuple[int, int, int], factor: int, *, filter: str = "bicubic") -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        if isinstance(factor, bool) or not isinstance(factor, int) or not 2 <= factor <= MAX_FACTOR:
            raise InputError(f"the factor is {factor!r}", f"it must be an integer from 2 to {MAX_FACTOR}")
        if filter not in get_args(Filter):
            raise InputError(f"the filter is {filter!r}", "it must be 'bicubic' or 'average'")
        self.factor, self.filter = factor, filter
        matrix = bicubic_matrix if filter == "bicubic" else averaging_matrix
        self.register_buffer("rows", matrix(height, factor), persistent=False)
        self.register_buffer("columns", matrix(width, factor), persistent=False)
        self.measurement_shape = (channels, len(self.rows), len(self.columns))

    def A(self, x: Tensor) -> Tensor:
        self.check_image(x)
        return sandwich(self.rows, x, self.columns)

    def AT(self, y: Tensor) -> Tensor:
        self.check_measurements(y)
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
        name = "sr specification"
        required = {"kind": (str,), "image_shape": (list,), "factor": (int,)}
        check_keys(name, spec, required, {"filter": (str,)})
        check_arrays(name, arrays, [])
        return cls(check_image_shape(spec["image_shape"]), spec["factor"], filter=spec.get("filter", "bicubic"))


def averaging_matrix(size: int, factor: int) -> Tensor:
    """The mean of each ``factor`` pixels of a line, and of those left over: (ceil(size / factor), size), float64."""
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
