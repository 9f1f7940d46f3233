"""Sparse matrices times dense vectors, in an order of summation that no thread changes."""

from __future__ import annotations

import warnings
from typing import NamedTuple, Self

import torch
from torch import Tensor


class SparseMatrix(NamedTuple):
    """A matrix by its rows: row r has ``values[k]`` in column ``columns[k]`` for starts[r] <= k < starts[r + 1].

    Attributes:
        starts: integers (rows + 1).
        columns: integers.
        values: real or complex, in single or double precision.

    Example:
        >>> matrix = SparseMatrix.of(torch.tensor([[0.0, 2.0, 0.0], [1.0, 0.0, 3.0]]).to_sparse())
        >>> matrix.times(torch.ones(1, 3))
        tensor([[2., 4.]])
        >>> matrix.adjoint(3).times(torch.ones(1, 2))
        tensor([[1., 2., 3.]])
    """

    starts: Tensor
    columns: Tensor
    values: Tensor

    @classmethod
    def of(cls, matrix: Tensor) -> Self:
        """The entries of a sparse tensor (rows, columns) of any layout."""
        with _no_word_on_layouts():
            rows = matrix.detach().to_sparse_csr()
        values = rows.values().clone()  # otherwise a view of the sparse tensor
        return cls(rows.crow_indices(), rows.col_indices(), values).to(values)

    def to(self, like: Tensor) -> Self:
        """With values in the precision of ``like``, on its device."""
        device = like.device
        return self._replace(
            starts=self.starts.to(device, torch.int32),
            columns=self.columns.to(device, torch.int32),
            values=self.values.to(device, like.dtype),
        )

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.starts.nbytes + self.columns.nbytes + self.values.nbytes

    def times(self, x: Tensor) -> Tensor:
        """The products with vectors (n, columns) in the precision of the values: (n, rows)."""
        product: Tensor = torch.ops.idm.sparse_times(self.starts, self.columns, self.values, x)
        return product

    def adjoint(self, width: int) -> Self:
        """The conjugate transpose of the matrix, which has ``width`` columns."""
        counts = self.starts.diff()
        rows = torch.arange(len(counts), device=counts.device, dtype=counts.dtype).repeat_interleave(counts)
        order = self.columns.argsort(stable=True)
        ends = torch.bincount(self.columns, minlength=width).cumsum(0)
        starts = torch.cat([ends.new_zeros(1), ends]).to(self.starts)
        return self._replace(starts=starts, columns=rows[order], values=self.values[order].conj().resolve_conj())


def _times(starts: Tensor, columns: Tensor, values: Tensor, x: Tensor) -> Tensor:
    with _no_word_on_layouts():
        matrix = torch.sparse_csr_tensor(starts, columns, values, (len(starts) - 1, x.shape[1]))
    product = x.new_empty(len(x), len(starts) - 1)
    for vector, row in zip(x, product, strict=True):  # one by one is several times faster than together
        torch.mv(matrix, vector.contiguous(), out=row)
    return product


def _no_word_on_layouts() -> warnings.catch_warnings[None]:
    """Without PyTorch's warning that the layout is in beta state."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _shape(starts: Tensor, columns: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(len(x), len(starts) - 1)


# One operator of PyTorch's, so that whoever follows operators on tensors without values knows its result.
torch.library.define("idm::sparse_times", "(Tensor starts, Tensor columns, Tensor values, Tensor x) -> Tensor")
torch.library.impl("idm::sparse_times", ("CPU", "CUDA"), _times)
torch.library.impl("idm::sparse_times", "Meta", _shape)
