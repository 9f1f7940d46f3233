"""Matrices as users give them and as files hold them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.numerics.dense import DenseMatrix
from idmcli.numerics.sparse import SparseMatrix
from idmcli.operators.stored import restored, storable

Matrix = DenseMatrix | SparseMatrix

COMPUTED = (torch.float32, torch.float64, torch.complex64, torch.complex128)
LARGEST_INDEX = 2**31 - 1  # of sparse matrices, which have int32


def as_matrix(phi: Any) -> tuple[Matrix, tuple[int, int]]:
    """A matrix and its shape (M, N).

    Args:
        phi: a tensor, dense or sparse, what numpy makes an array of, or a sparse array of scipy.

    Returns:
        the matrix in single or double precision, real or complex, and its shape.

    Raises:
        InputError: it is no matrix of numbers, or a sparse one that int32 cannot index.
    """
    if hasattr(phi, "tocsr"):  # of scipy, which need not be installed
        rows = phi.tocsr()
        values, shape = _as_tensor(rows.data), tuple(rows.shape)
        _check_indices(len(values), shape)
        matrix: Matrix = SparseMatrix(_as_tensor(rows.indptr), _as_tensor(rows.indices), _precise(values))
        return matrix.to(matrix.values), (shape[0], shape[1])
    tensor = phi.detach() if isinstance(phi, Tensor) else _as_tensor(phi)
    shape = tuple(tensor.shape)
    if len(shape) != 2 or 0 in shape:
        raise InputError(f"the matrix has shape {shape}", "it must have rows and columns: (M, N)")
    if tensor.layout == torch.strided:
        return DenseMatrix(_precise(tensor).contiguous()), (shape[0], shape[1])
    _check_indices(tensor._nnz(), shape)
    matrix = SparseMatrix.of(tensor)
    return matrix._replace(values=_precise(matrix.values)), (shape[0], shape[1])


def _check_indices(entries: int, shape: tuple[int, ...]) -> None:
    if max(entries, *shape) > LARGEST_INDEX:
        raise InputError(
            f"the sparse matrix has shape {shape} and {entries} entries", f"each may be at most {LARGEST_INDEX}"
        )


def _as_tensor(array: Any) -> Tensor:
    try:
        found = np.ascontiguousarray(array)
        native = found.astype(found.dtype.newbyteorder("="), copy=not found.flags.writeable)
        return torch.from_numpy(native)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"{type(array).__name__} is no matrix", "give a tensor, a numpy array or a sparse array of scipy"
        ) from error


def _precise(values: Tensor) -> Tensor:
    """Numbers in a precision that operators compute in, which holds them."""
    if values.dtype in COMPUTED:
        return values
    if values.dtype == torch.complex32:
        return values.to(torch.complex64)
    return values.to(torch.float32 if values.dtype.itemsize <= 2 else torch.float64)


def to_arrays(matrix: Matrix) -> Mapping[str, Tensor]:
    """The tensors that a file holds: the whole matrix, or the parts of a sparse one."""
    if isinstance(matrix, DenseMatrix):
        return {"matrix": storable(matrix.values)}
    return matrix._replace(values=storable(matrix.values))._asdict()


ARRAY_NAMES = {True: SparseMatrix._fields, False: ("matrix",)}  # of a sparse matrix, and of a dense one


def from_arrays(arrays: Mapping[str, Tensor], columns: int) -> Tensor:
    """The matrix with so many columns in the tensors of a file, whose names are right; dense or sparse.

    Raises:
        InputError: it has another number of columns, or the parts of a sparse one would lead beyond its memory.
    """
    if "matrix" in arrays:
        dense = restored(arrays["matrix"], 2)
        if dense.shape[1:] != (columns,):
            raise InputError(
                f"the matrix has shape {tuple(dense.shape)}, and its specification says {columns} columns",
                "correct 'columns'",
            )
        return dense
    matrix = SparseMatrix(arrays["starts"], arrays["columns"], restored(arrays["values"], 1))
    integers = all(part.dtype == torch.int32 for part in matrix[:2])
    if not integers or any(part.ndim != 1 for part in matrix) or not _leads_to_its_entries(matrix, columns):
        raise InputError(
            "the parts of the sparse matrix do not fit together",
            "starts must rise from 0 to the number of values, and columns lie within the matrix",
        )
    with warnings.catch_warnings(action="ignore", category=UserWarning):  # that the layout is in beta state
        return torch.sparse_csr_tensor(*matrix, (len(matrix.starts) - 1, columns))


def _leads_to_its_entries(matrix: SparseMatrix, columns: int) -> bool:
    starts, inside = matrix.starts, (matrix.columns >= 0) & (matrix.columns < columns)
    return (
        len(starts) > 1
        and int(starts[0]) == 0
        and int(starts[-1]) == len(matrix.columns) == len(matrix.values)
        and bool((starts.diff() >= 0).all())
        and bool(inside.all())
    )
