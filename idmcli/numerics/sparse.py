"""Sparse matrices times dense vectors, in an order of summation that no thread changes."""

from __future__ import annotations

import warnings
from typing import NamedTuple, Self

import torch
from torch import Tensor


class SparseMatrix(NamedTuple):
    """A matrix by its rows: row r has ``values[k]`` in column ``columns[k]`` for starts[r] <= k < starts[r + 1].

    Attributes:
        starts: int32 (rows + 1).
        columns: int32.
        values: float32 or float64.
    """

    starts: Tensor
    columns: Tensor
    values: Tensor

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


def _times(starts: Tensor, columns: Tensor, values: Tensor, x: Tensor) -> Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # that the layout is in beta state
        matrix = torch.sparse_csr_tensor(starts, columns, values, (len(starts) - 1, x.shape[1]))
    product = x.new_empty(len(x), len(starts) - 1)
    for vector, row in zip(x, product, strict=True):  # one by one is several times faster than together
        torch.mv(matrix, vector.contiguous(), out=row)
    return product


def _shape(starts: Tensor, columns: Tensor, values: Tensor, x: Tensor) -> Tensor:
    return x.new_empty(len(x), len(starts) - 1)


# One operator of PyTorch's, so that whoever follows operators on tensors without values knows its result.
torch.library.define("idm::sparse_times", "(Tensor starts, Tensor columns, Tensor values, Tensor x) -> Tensor")
torch.library.impl("idm::sparse_times", ("CPU", "CUDA"), _times)
torch.library.impl("idm::sparse_times", "Meta", _shape)
