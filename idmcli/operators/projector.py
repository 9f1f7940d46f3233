"""Views of images and their transpose, as sparse matrices that are made when first used."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import pad

from idmcli.numerics.sparse import SparseMatrix
from idmcli.operators.joseph import interpolation, line_integrals
from idmcli.operators.rays import Rays
from idmcli.operators.turns import Block, Turn, blocks

Map = Literal["project", "transpose", "interpolate"]

ENTRIES_AT_ONCE = 2**20  # pixels, or crossings of rays, in one matrix; making it takes some 100 bytes for each
KEPT_BYTES = 2**31  # size of the matrices that are kept; others are made again for every use


class Projector:
    """Line integrals of images and their transpose, with the same weights.

    The geometry is in double precision and does not depend on a device. The images are padded to a grid whose middle is
    the axis of rotation, so that one matrix serves all views that differ by quarter turns and, where the rays allow
    it, by a mirror.

    Args:
        rays: of each view.
        degrees: angles of the views.
        shape: (H, W) of the images.
        grid: (H', W') of the padded ones, with the axis of rotation in the middle.

    Example:
        >>> from idmcli.operators.rays import ParallelRays
        >>> projector = Projector(ParallelRays(3, axis=1), [0, 90], shape=(2, 3), grid=(3, 3))
        >>> projector.project(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
        tensor([[[ 5.,  7.,  9.],
                 [ 0., 15.,  6.]]])
    """

    def __init__(self, rays: Rays, degrees: Sequence[float], shape: tuple[int, int], grid: tuple[int, int]) -> None:
        self._rays, self._shape, self._grid = rays, shape, grid
        entries = max(grid) * max(min(grid), rays.detectors)
        most = max(1, ENTRIES_AT_ONCE // entries)
        self._blocks = blocks(degrees, mirrored=rays.mirrored, square=grid[0] == grid[1], most=most)
        self._views = len(degrees)
        self._kept: dict[tuple[Map, int, torch.dtype, torch.device], SparseMatrix] = {}

    def project(self, x: Tensor) -> Tensor:
        """Line integrals of images (n, H, W), shape (n, views, detectors)."""
        padded = pad(x, (0, self._grid[1] - self._shape[1], 0, self._grid[0] - self._shape[0]))
        turned = {turn: turn.applied(padded).flatten(1) for turn in self._turns}
        y = x.new_empty(len(x), self._views, self._rays.detectors)
        for block, matrix in self._matrices("project", x):
            for turn, places in block.places.items():
                y[:, places] = matrix.times(turned[turn]).view(len(x), -1, self._rays.detectors)
        return y

    def back_project(self, y: Tensor) -> Tensor:
        """The transpose of :meth:`project`: (n, views, detectors) to (n, H, W)."""
        return self._sum("transpose", y)

    def smear(self, y: Tensor) -> Tensor:
        """Give each pixel the weighted sum of every view's linearly interpolated value at its position, (n, H, W)."""
        return self._sum("interpolate", y)

    def _sum(self, map: Map, y: Tensor) -> Tensor:
        turned = {turn: y.new_zeros(len(y), self._grid[0] * self._grid[1]) for turn in self._turns}
        for block, matrix in self._matrices(map, y):
            for turn, places in block.places.items():
                turned[turn] += matrix.times(y[:, places].flatten(1))
        x = y.new_zeros(len(y), *self._grid)
        for turn, image in turned.items():
            x += turn.undone(image.view(-1, *self._grid[:: -1 if turn.transposed else 1]))
        return x[:, : self._shape[0], : self._shape[1]].contiguous()

    @property
    def _turns(self) -> list[Turn]:
        return sorted({turn for block in self._blocks for turn in block.places})

    def _matrices(self, map: Map, like: Tensor) -> Iterator[tuple[Block, SparseMatrix]]:
        """The matrices of a map in the precision of ``like``, each of a block of views."""
        for number, block in enumerate(self._blocks):
            yield block, self._matrix(map, number, like)

    def _matrix(self, map: Map, number: int, like: Tensor) -> SparseMatrix:
        key = map, number, like.dtype, like.device
        if key in self._kept:
            return self._kept[key]
        block = self._blocks[number]
        grid = self._grid if block.upright else self._grid[::-1]
        angles = np.radians(block.angles)
        if map == "project":
            n_c, n_r, s = (
                np.concatenate(parts) for parts in zip(*(self._rays.lines(angle) for angle in angles), strict=True)
            )
            matrix = line_integrals(n_c, n_r, s, grid).to(like)
        elif map == "transpose":
            matrix = self._matrix("project", number, like).adjoint(grid[0] * grid[1])
        else:
            r, c = (np.arange(side, dtype=np.float64) - (side - 1) / 2 for side in grid)
            seen = [self._rays.positions(angle, c, r[:, None]) for angle in angles]
            positions, factors = (np.stack([part.ravel() for part in parts]) for parts in zip(*seen, strict=True))
            matrix = interpolation(positions, factors, self._rays.detectors).to(like)
        if matrix.nbytes + sum(kept.nbytes for kept in self._kept.values()) <= KEPT_BYTES:
            self._kept[key] = matrix
        return matrix
