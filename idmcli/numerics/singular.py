"""The singular value decomposition of a linear map with one small side."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import torch
from torch import Tensor

Map = Callable[[Tensor], Tensor]
AT_ONCE = 64  # rows of the Gram matrix that are computed together


class SingularValues(NamedTuple):
    """The singular values of a map A from N to M numbers, with the singular vectors on its smaller side.

    Attributes:
        values: S, (n,) with n = min(M, N), falling.
        vectors: (n, n), a column for each value: U if M <= N, else V.
        on_the_left: whether the vectors are U.

    Example:
        >>> matrix = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]]).double()
        >>> found = singular_values(lambda v: v @ matrix.T, lambda u: u @ matrix, (2, 3), matrix)
        >>> found.values, found.on_the_left
        (tensor([4., 3.], dtype=torch.float64), True)
    """

    values: Tensor
    vectors: Tensor
    on_the_left: bool

    def above(self, cutoff: float) -> SingularValues:
        """The values that exceed ``cutoff`` times the largest, with their vectors."""
        count = int((self.values > cutoff * self.values[0]).sum())
        return self._replace(values=self.values[:count], vectors=self.vectors[:, :count])


class SingularVectors(NamedTuple):
    """``A = U S V^H`` with one of U and V at hand: ``V = A^H U S^-1``, or ``U = A V S^-1``. Vectors are rows.

    Attributes:
        forward: A, vectors (..., N) to (..., M).
        adjoint: A^H.
        known: S > 0, and U or V.

    Example:
        >>> matrix = torch.tensor([[3.0, 0.0, 0.0], [0.0, 4.0, 0.0]])
        >>> forward, adjoint = (lambda v: v @ matrix.T), (lambda u: u @ matrix)
        >>> known = singular_values(forward, adjoint, (2, 3), matrix)
        >>> SingularVectors(forward, adjoint, known).to_right(torch.tensor([[5.0, 6.0, 7.0]])).abs()
        tensor([[6., 5.]])
    """

    forward: Map
    adjoint: Map
    known: SingularValues

    def to_left(self, u: Tensor) -> Tensor:
        """``U^H u``."""
        if self.known.on_the_left:
            return u @ self.known.vectors.conj().to(u)
        return self.to_right(self.adjoint(u)) / self.known.values.to(u.real)

    def from_left(self, c: Tensor) -> Tensor:
        """``U c``."""
        if self.known.on_the_left:
            return c @ self.known.vectors.T.to(c)
        return self.forward(self.from_right(c / self.known.values.to(c.real)))

    def to_right(self, v: Tensor) -> Tensor:
        """``V^H v``."""
        if not self.known.on_the_left:
            return v @ self.known.vectors.conj().to(v)
        return self.to_left(self.forward(v)) / self.known.values.to(v.real)

    def from_right(self, c: Tensor) -> Tensor:
        """``V c``."""
        if not self.known.on_the_left:
            return c @ self.known.vectors.T.to(c)
        return self.adjoint(self.from_left(c / self.known.values.to(c.real)))


@torch.no_grad()
def singular_values(forward: Map, adjoint: Map, shape: tuple[int, int], like: Tensor) -> SingularValues:
    """The singular values of a map, from the eigenvalues of its smaller Gram matrix.

    Values below 1e-8 of the largest are rounding.

    Args:
        forward: A, vectors (n, N) to (n, M).
        adjoint: A^H, vectors (n, M) to (n, N).
        shape: (M, N).
        like: says where to compute and in which precision.

    Returns:
        the singular values and vectors.
    """
    gram = torch.cat([rows for _, rows in gram_rows(forward, adjoint, shape, like)])
    eigenvalues, vectors = torch.linalg.eigh(gram.T)  # the maps take vectors as rows
    return SingularValues(eigenvalues.clamp_min(0).sqrt().flip(0), vectors.flip(1), shape[0] <= shape[1])


@torch.no_grad()
def orthonormal(forward: Map, adjoint: Map, shape: tuple[int, int], like: Tensor, tolerance: float) -> bool:
    """Whether the rows of a map, or its columns if they are fewer, are orthonormal.

    Args:
        forward, adjoint, shape, like: as for :func:`singular_values`.
        tolerance: how far their products may be from 0 and 1.

    Returns:
        whether they are.
    """
    every = gram_rows(forward, adjoint, shape, like)
    return all(bool(((rows - identity).abs() <= tolerance).all()) for identity, rows in every)


def gram_rows(forward: Map, adjoint: Map, shape: tuple[int, int], like: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """The smaller Gram matrix, ``(A A^H)^T`` or ``(A^H A)^T``, some rows at a time.

    Args:
        forward, adjoint, shape, like: as for :func:`singular_values`.

    Yields:
        some rows of the identity, and the same rows of the Gram matrix.
    """
    for rows in torch.split(torch.eye(min(shape), dtype=like.dtype, device=like.device), AT_ONCE):
        yield rows, forward(adjoint(rows)) if shape[0] <= shape[1] else adjoint(forward(rows))
