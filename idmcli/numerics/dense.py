"""Dense matrices with the interface of sparse ones."""

from __future__ import annotations

from typing import NamedTuple, Self

from torch import Tensor


class DenseMatrix(NamedTuple):
    """A matrix that holds all its entries.

    Attributes:
        values: (rows, columns), real or complex.

    Example:
        >>> import torch
        >>> DenseMatrix(torch.tensor([[1.0, 2.0]])).times(torch.tensor([[3.0, 4.0]]))
        tensor([[11.]])
    """

    values: Tensor

    def to(self, like: Tensor) -> Self:
        """With values in the precision of ``like``, on its device."""
        return self._replace(values=self.values.to(like))

    def times(self, x: Tensor) -> Tensor:
        """The products with vectors (n, columns) in the precision of the values: (n, rows)."""
        return x @ self.values.T

    def adjoint(self, width: int) -> Self:
        """The conjugate transpose of the matrix, which has ``width`` columns."""
        return self._replace(values=self.values.mH)
