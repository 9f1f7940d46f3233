"""A single-pixel camera with Hadamard patterns."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, Literal, Self, get_args

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.linear_map import linear_map
from idmcli.numerics.walsh_hadamard import dyadic, natural, sequency, walsh_hadamard
from idmcli.operators.base import Spec
from idmcli.operators.checks import check_image_shape
from idmcli.operators.linear import LinearOperator, Spectrum
from idmcli.operators.spec import Specification
from idmcli.operators.spectra import completed
from idmcli.operators.stored import check_arrays, check_digest, digest

Order = Literal["natural", "sequency", "dyadic", "sequency-2d", "dyadic-2d"]
ORDERS = get_args(Order)
_ROWS = {"natural": natural, "sequency": sequency, "dyadic": dyadic}


class HadamardSpecification(Specification):
    """The numbers of the patterns are among the arrays where not all were shown."""

    order: Order = "natural"
    patterns: int | None = None
    complex_image: bool = False
    patterns_sha256: str | None = None


class Hadamard(LinearOperator):
    """``y = H x / sqrt(N)``: the image under patterns of -1 and 1, the rows of the Hadamard matrix of its N pixels.

    The sides of a pattern are powers of two; zeros fill the image up to them at the bottom and right. Pixels are in
    row-major order, and channels share the patterns: y is (batch, C, M). A fast transform takes N log N additions.
    The rows are orthonormal: the operator is tight if nothing is filled up or all patterns are shown, and
    :meth:`padded` always is.

    An order says how patterns are numbered, from 0. For patterns of P x Q pixels:

    - "natural" (Sylvester): the rows of ``scipy.linalg.hadamard(P Q)``. Pattern ``u Q + v`` is the outer product of
      row u of the matrix of size P and row v of the matrix of size Q.
    - "sequency" (Walsh): by the number of changes of sign along all pixels.
    - "dyadic" (Paley): natural, with the binary digits of the number read backwards.
    - "sequency-2d", "dyadic-2d": pattern ``u Q + v`` is the outer product of rows u and v, each counted in that order.

    Args:
        image_shape: (C, H, W) before it is filled up.
        patterns: the numbers of those that were shown, distinct int64 (M,), in the order of y; None for all of them.
        order: what numbers the patterns.
        complex_image: whether images are complex, as light with a phase is.

    Raises:
        InputError: the order is unknown, or a number is no pattern's or comes twice.

    Example:
        >>> camera = Hadamard((1, 2, 2), torch.tensor([0, 3]))
        >>> camera.A(torch.tensor([[[[1.0, 2.0], [3.0, 6.0]]]]))
        tensor([[[6., 1.]]])
    """

    kind = "hadamard"
    patterns: Tensor | None
    index: Tensor

    def __init__(
        self,
        image_shape: tuple[int, int, int],
        patterns: Tensor | None = None,
        *,
        order: Order = "natural",
        complex_image: bool = False,
    ) -> None:
        super().__init__()
        self.image_shape = check_image_shape(image_shape)
        self._padded_shape = self.image_shape[0], *pattern_shape(self.image_shape)
        self.order = order
        self.complex_image = self.complex_measurements = complex_image
        rows = pattern_rows(order, pattern_shape(self.image_shape))
        pixels = len(rows)
        if patterns is not None:
            _check_patterns(patterns, pixels)
            rows = rows.to(patterns.device)[patterns]
        self.register_buffer("patterns", patterns, persistent=False)
        self.register_buffer("index", rows, persistent=False)
        self.measurement_shape = (self.image_shape[0], len(rows))
        self.tight = self._padded_shape == self.image_shape or len(rows) == pixels

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        return self._padded_shape

    def padded(self) -> Hadamard:
        return self if self.padded_shape == self.image_shape else self._on_padded_images

    @cached_property
    def _on_padded_images(self) -> Self:
        padded = self._copy()
        padded.image_shape, padded.tight = self.padded_shape, True
        return padded

    def A(self, x: Tensor) -> Tensor:
        return linear_map(x, self._measure, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        return linear_map(y, self._back_project, self._measure)

    def _measure(self, x: Tensor) -> Tensor:
        return walsh_hadamard(self.pad(x).flatten(2)).index_select(2, self.index)

    def _back_project(self, y: Tensor) -> Tensor:
        zeros = y.new_zeros(*y.shape[:2], prod(self.padded_shape[1:]))
        return self.crop(self._image(zeros.index_copy(2, self.index, y)))

    def _image(self, coordinates: Tensor) -> Tensor:
        """Padded images with all N coordinates in natural order, (B, C, N)."""
        return walsh_hadamard(coordinates).view(-1, *self.padded_shape)

    def spectrum(self) -> Spectrum | None:
        """``V^T`` lists the measured coordinates, then the others; S = 1."""
        if self.padded_shape != self.image_shape:
            return None
        channels, count = self.measurement_shape
        pixels = prod(self.image_shape[1:])
        shown = torch.zeros(pixels, dtype=torch.bool, device=self.index.device).index_fill(0, self.index, True)
        order = torch.cat([self.index, (~shown).nonzero().flatten()])
        back = order.argsort()
        return Spectrum(
            torch.ones(channels, count, device=order.device),
            lambda y: y,
            lambda x: walsh_hadamard(x.flatten(2)).index_select(2, order),
            lambda c: self._image(completed(c, pixels).index_select(2, back)),
        )

    def arrays(self) -> Mapping[str, Tensor]:
        return {} if self.patterns is None else {"patterns": self.patterns}

    def to_spec(self) -> Spec:
        """``patterns`` is null if all were shown; otherwise their numbers are among the arrays."""
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "order": self.order,
            "patterns": None if self.patterns is None else len(self.patterns),
            "complex_image": self.complex_image,
            "patterns_sha256": None if self.patterns is None else digest(self.patterns),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = HadamardSpecification.read(spec)
        check_arrays(read.kind, arrays, [] if read.patterns is None else ["patterns"])
        patterns = arrays.get("patterns")
        if patterns is not None and patterns.shape != (read.patterns,):
            raise InputError(
                f"the hadamard specification has {read.patterns} patterns, and their numbers have shape "
                f"{tuple(patterns.shape)}",
                "correct 'patterns'",
            )
        operator = cls(read.image_shape, patterns, order=read.order, complex_image=read.complex_image)
        if patterns is not None:
            check_digest("list of patterns", read.patterns_sha256, patterns)
        return operator


def pattern_shape(image_shape: tuple[int, ...]) -> tuple[int, int]:
    """The sides of the patterns for images (C, H, W): the next powers of two."""
    height, width = (1 << (side - 1).bit_length() for side in image_shape[1:])
    return height, width


def pattern_rows(order: str, shape: tuple[int, int]) -> Tensor:
    """The rows of Sylvester's matrix as an order numbers them: int64 (P Q,).

    Args:
        order: as in :class:`Hadamard`.
        shape: (P, Q), powers of two.

    Raises:
        InputError: the order is unknown.
    """
    if order not in ORDERS:
        raise InputError(f"the order of the patterns is {order!r}", f"it must be one of {', '.join(ORDERS)}")
    height, width = shape
    name, _, separable = order.partition("-")
    rows = _ROWS[name]
    return (width * rows(height)[:, None] + rows(width)).flatten() if separable else rows(height * width)


def _check_patterns(patterns: Tensor, count: int) -> None:
    if patterns.dtype != torch.int64 or patterns.ndim != 1 or not len(patterns):
        raise InputError(
            f"the numbers of the patterns have shape {tuple(patterns.shape)} and type {patterns.dtype}",
            "give a list of int64 numbers, at least one",
        )
    if int(patterns.min()) < 0 or int(patterns.max()) >= count:
        raise InputError(
            f"the patterns are numbered from {int(patterns.min())} to {int(patterns.max())}",
            f"an image of {count} pixels has patterns 0 to {count - 1}",
        )
    if len(torch.unique(patterns)) < len(patterns):
        raise InputError("a pattern is listed twice", "average its readings, and list it once")
