"""A linear operator of a matrix, dense or sparse."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from math import prod
from typing import Any, Self

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.dense import DenseMatrix
from idmcli.numerics.linear_map import linear_map
from idmcli.numerics.singular import SingularValues, SingularVectors, orthonormal, singular_values
from idmcli.numerics.sparse import SparseMatrix
from idmcli.operators.base import Spec
from idmcli.operators.blocks import from_blocks, next_multiples, to_blocks
from idmcli.operators.checks import check_finite, check_image_shape, check_integer
from idmcli.operators.linear import Gram, LinearOperator, Spectrum
from idmcli.operators.matrices import ARRAY_NAMES, Matrix, as_matrix, from_arrays, to_arrays
from idmcli.operators.spec import Specification
from idmcli.operators.spectra import LEAST_SINGULAR_VALUE
from idmcli.operators.stored import check_arrays, check_digest, digest
from idmcli.ranges import Count

LARGEST_SIDE = 2048  # of a matrix that is decomposed: the smaller of its numbers of rows and columns
LARGEST_BLOCK = 2**15  # pixels of a side
ORTHONORMALITY = 1e-5  # how far the products of orthonormal rows may be from 0 and 1


class MatrixSpecification(Specification):
    """The matrix is among the arrays: as a whole, or by the entries of its rows if it is sparse."""

    columns: Count
    block: int | None = None
    complex_image: bool = False
    sparse: bool = False
    matrix_sha256: str | None = None


class MatrixOperator(LinearOperator):
    """``y = Phi x`` with any matrix Phi, whose columns are the pixels of an image.

    Images are vectors of their values in row-major order (C, H, W). The number of columns says what Phi measures:

    - C H W columns: the whole image; y is (batch, M) for M rows.
    - H W columns: each channel of an image that has several; y is (batch, C, M).
    - with ``block = B``, B^2 columns: each B x B block of each channel, after zeros have filled the image up to the
      next multiples of B. The blocks and the pixels in them are in row-major order; y is (batch, C, blocks, M).

    A decomposition of Phi gives A+ and the regularised inverse in closed form if its smaller side is at most 2048. It
    is computed once, when it is first needed; singular values below a thousandth of the largest count as not measured.
    Larger matrices take conjugate gradients.
    The operator is tight if the rows of Phi, or its columns, are orthonormal to 1e-5.

    Args:
        phi: (M, N), real or complex: a tensor, dense or sparse, a numpy array, or a sparse array of scipy. Integers
            and half precision become floating-point numbers that hold them.
        image_shape: (C, H, W).
        block: B, or None.
        complex_image: whether images are complex. Images of a complex Phi may be real.

    Raises:
        InputError: phi is no matrix, does not fit the image, is all zero, or holds NaN or infinity.

    Example:
        >>> sums = MatrixOperator([[1, 1, 0, 0], [0, 0, 1, 1]], image_shape=(1, 2, 2))
        >>> y = sums.A(torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]]))
        >>> y
        tensor([[3., 7.]])
        >>> sums.pinv(y)[0, 0]
        tensor([[1.5000, 1.5000],
                [3.5000, 3.5000]])
        >>> MatrixOperator(torch.eye(4)[:3], (1, 6, 5), block=2).measurement_shape
        (1, 9, 3)
    """

    kind = "matrix"
    values: Tensor
    starts: Tensor
    columns: Tensor

    def __init__(
        self, phi: Any, image_shape: tuple[int, int, int], block: int | None = None, *, complex_image: bool = False
    ) -> None:
        super().__init__()
        self.image_shape = channels, height, width = check_image_shape(image_shape)
        matrix, self._shape = as_matrix(phi)
        check_finite("matrix", matrix.values)
        if not bool(matrix.values.any()):
            raise InputError("the matrix is all zero: nothing is measured", "use a matrix that measures something")
        self.sparse = isinstance(matrix, SparseMatrix)
        for name, part in matrix._asdict().items():
            self.register_buffer(name, part, persistent=False)
        self.complex_image = complex_image
        self.complex_measurements = complex_image or matrix.values.is_complex()
        self.block = None if block is None else check_integer("block size", block, 1, LARGEST_BLOCK)
        self._padded_shape = self.image_shape
        rows, columns = self._shape
        if self.block is not None:
            self._check_columns(self.block**2, f"a block of {self.block} x {self.block} pixels")
            self._padded_shape = channels, *next_multiples((height, width), self.block)
            self.measurement_shape = (channels, prod(self._padded_shape[1:]) // self.block**2, rows)
        elif columns == height * width and channels > 1:
            self.measurement_shape = (channels, rows)
        else:
            self._check_columns(channels * height * width, f"an image of shape {self.image_shape}")
            self.measurement_shape = (rows,)

    def _check_columns(self, values: int, what: str) -> None:
        if self._shape[1] != values:
            raise InputError(
                f"the matrix has {self._shape[1]} columns, and {what} has {values} values",
                "give one column for each value in row-major order (C, H, W), one for each pixel of a channel, or "
                "block = B for a matrix that measures blocks of B x B pixels",
            )

    # A and its adjoint

    def A(self, x: Tensor) -> Tensor:
        return linear_map(x, self._measure, self._back_project)

    def AT(self, y: Tensor) -> Tensor:
        return linear_map(y, self._back_project, self._measure)

    def _measure(self, x: Tensor) -> Tensor:
        return self._forward(self._vectors(self.pad(x)))

    def _back_project(self, y: Tensor) -> Tensor:
        return self.crop(self._image(self._backward(y)))

    def _vectors(self, x: Tensor) -> Tensor:
        """Padded images as the vectors that Phi measures: (..., N)."""
        if self.block is not None:
            return to_blocks(x, self.block)
        return x.flatten(1 if len(self.measurement_shape) == 1 else 2)

    def _image(self, v: Tensor) -> Tensor:
        """The inverse of :meth:`_vectors`."""
        if self.block is not None:
            return from_blocks(v, self.padded_shape[1:])
        return v.reshape(len(v), *self.image_shape)

    def _forward(self, v: Tensor) -> Tensor:
        """``Phi v`` for vectors (..., N)."""
        return _products(self._pair(v)[0], v.to(v.dtype.to_complex()) if self.complex_measurements else v)

    def _backward(self, u: Tensor) -> Tensor:
        """``Phi^H u`` for vectors (..., M), its real part for real images."""
        v = _products(self._pair(u)[1], u)
        return v if self.complex_image else v.real

    def _pair(self, like: Tensor) -> tuple[Matrix, Matrix]:
        """Phi and its adjoint in the precision of images or measurements."""
        dtype = like.dtype.to_complex() if self.complex_measurements else like.dtype
        if dtype not in self._pairs:
            matrix = self._matrix.to(self.values.new_empty(0, dtype=dtype))
            self._pairs[dtype] = matrix, matrix.adjoint(self._shape[1])
        return self._pairs[dtype]

    @cached_property
    def _pairs(self) -> dict[torch.dtype, tuple[Matrix, Matrix]]:
        return {}

    @property
    def _matrix(self) -> Matrix:
        return SparseMatrix(self.starts, self.columns, self.values) if self.sparse else DenseMatrix(self.values)

    # Closed forms

    @property
    def padded_shape(self) -> tuple[int, int, int]:
        return self._padded_shape

    def padded(self) -> MatrixOperator:
        return self if self.padded_shape == self.image_shape else self._on_padded_images

    @cached_property
    def _on_padded_images(self) -> Self:
        padded = self._copy()
        padded.image_shape = self.padded_shape
        return padded

    @cached_property
    def tight(self) -> bool:  # type: ignore[override]
        if self.padded_shape != self.image_shape:
            return False
        other = self._copy()  # which keeps no matrix in double precision for long
        return orthonormal(other._down, other._up, other._sides, other._double, ORTHONORMALITY)

    @cached_property
    def _singular(self) -> SingularValues | None:
        if min(self._sides) > LARGEST_SIDE:
            return None
        other = self._copy()
        return singular_values(other._down, other._up, other._sides, other._double)

    @property
    def _sides(self) -> tuple[int, int]:
        """(M, N), where a complex measurement of a real image counts as two real ones."""
        rows, columns = self._shape
        return rows * (2 if self._in_pairs else 1), columns

    @property
    def _in_pairs(self) -> bool:
        return self.complex_measurements and not self.complex_image

    @property
    def _double(self) -> Tensor:
        """Says where to decompose Phi, and in which precision."""
        return self.values.new_empty(0, dtype=torch.complex128 if self.complex_image else torch.float64)

    def _down(self, v: Tensor) -> Tensor:
        """``Phi v`` in the type of v."""
        return self._as_numbers(self._forward(v))

    def _up(self, u: Tensor) -> Tensor:
        """The adjoint of :meth:`_down`."""
        return self._backward(self._from_numbers(u))

    def _as_numbers(self, y: Tensor) -> Tensor:
        return torch.view_as_real(y.resolve_conj()).flatten(-2) if self._in_pairs else y

    def _from_numbers(self, u: Tensor) -> Tensor:
        return torch.view_as_complex(torch.unflatten(u, -1, (-1, 2)).contiguous()) if self._in_pairs else u

    def _svd(self, known: SingularValues) -> SingularVectors:
        return SingularVectors(self._down, self._up, known)

    def spectrum(self) -> Spectrum | None:
        """``V^T x`` are the coordinates that Phi measures, and then what it does not see of x, as an image."""
        if self._singular is None or self.padded_shape != self.image_shape:
            return None
        known = self._singular.above(LEAST_SINGULAR_VALUE)
        svd = self._svd(known)
        lead = self.measurement_shape[:-1]
        groups = lead[0] if lead else 1
        values = known.values.repeat(prod(lead) // groups).expand(groups, -1)
        count = values.shape[1]

        def grouped(c: Tensor) -> Tensor:
            return c.reshape(len(c), groups, -1)

        def single(c: Tensor) -> Tensor:
            return c.reshape(len(c), *lead, -1)

        def measured(x: Tensor) -> Tensor:
            return grouped(svd.to_right(self._vectors(x)))

        def from_measured(c: Tensor) -> Tensor:
            return self._image(svd.from_right(single(c)))

        def to_basis(x: Tensor) -> Tensor:
            c = measured(x)
            return torch.cat([c, grouped(x - from_measured(c))], 2)

        def from_basis(c: Tensor) -> Tensor:
            others = c[..., count:].reshape(len(c), *self.image_shape)
            return others + from_measured(c[..., :count] - measured(others))

        def to_range(y: Tensor) -> Tensor:
            return grouped(svd.to_left(self._as_numbers(y)))

        def from_range(c: Tensor) -> Tensor:
            return self._from_numbers(svd.from_left(single(c)))

        return Spectrum(
            values,
            lambda y: linear_map(y, to_range, from_range),
            lambda x: linear_map(x, to_basis, from_basis),
            lambda c: linear_map(c, *((from_measured, measured) if c.shape[2] == count else (from_basis, to_basis))),
        )

    def gram(self, y: Tensor) -> Gram:
        """``A A^T`` itself where it is decomposed, with singular values of at least a thousandth of the largest."""
        known = None if self.padded().tight else self._singular
        if known is None or not known.on_the_left:
            return super().gram(y)
        svd = self._svd(known)

        def to_left(y: Tensor) -> Tensor:
            return svd.to_left(self._as_numbers(y))

        def from_left(c: Tensor) -> Tensor:
            return self._from_numbers(svd.from_left(c))

        return Gram(
            known.values.clamp_min(LEAST_SINGULAR_VALUE * known.values[0]).square().to(y.real),
            lambda y: linear_map(y, to_left, from_left),
            lambda c: linear_map(c, from_left, to_left),
        )

    # Files

    def arrays(self) -> Mapping[str, Tensor]:
        return to_arrays(self._matrix)

    def to_spec(self) -> Spec:
        """The matrix is among the arrays."""
        return {
            "kind": self.kind,
            "image_shape": list(self.image_shape),
            "columns": self._shape[1],
            "block": self.block,
            "complex_image": self.complex_image,
            "sparse": self.sparse,
            "matrix_sha256": digest(*self._matrix),
        }

    @classmethod
    def from_spec(cls, spec: Mapping[str, Any], arrays: Mapping[str, Tensor]) -> Self:
        read = MatrixSpecification.read(spec)
        check_arrays(read.kind, arrays, ARRAY_NAMES[read.sparse])
        matrix = from_arrays(arrays, read.columns)
        operator = cls(matrix, read.image_shape, read.block, complex_image=read.complex_image)
        check_digest("matrix", read.matrix_sha256, *operator._matrix)
        return operator


def _products(matrix: Matrix, vectors: Tensor) -> Tensor:
    """``Phi v`` for vectors (..., N): (..., M)."""
    return torch.unflatten(matrix.times(vectors.flatten(0, -2)), 0, vectors.shape[:-1])
