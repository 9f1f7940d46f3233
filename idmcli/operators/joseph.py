"""Joseph's parallel-beam projector and its transpose (P. M. Joseph, IEEE Trans. Med. Imaging 1(3), 1982).

A view looks along the rays ``d = c cos t - r sin t``, with column c, row r and detector d counted from
the centres W // 2, H // 2 and D // 2. Where ``|cos t| >= |sin t|`` a ray is followed row by row and
interpolated along the row, otherwise column by column: in both cases ``d = a i + b j``, with i the
interpolated and j the followed axis and ``|a| >= |b|``, and the pixel (j, i) has in ray d the weight

    max(0, 1 - |a i + b j - d| / |a|) / |a|.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from idmcli.numerics.sparse import SparseMatrix

Array = NDArray[np.float64]
Map = Literal["project", "transpose", "interpolate"]

PIXELS_AT_ONCE = 2**20  # pixels times views in one matrix; making it takes some 100 bytes for each
KEPT_BYTES = 2**31  # size of the matrices that are kept; others are made again for every use


class Projector:
    """Line integrals of images and their transpose, as sparse matrices that are made when first used.

    The weights come from the geometry in float64, view by view, and do not depend on a device.

    Args:
        directions: (cos t, sin t) of each view.
        shape: (H, W) of the images.
        detectors: their number in each view.

    Example:
        >>> projector = Projector([(1.0, 0.0), (0.0, 1.0)], shape=(2, 3), detectors=3)
        >>> projector.project(torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]]))
        tensor([[[ 5.,  7.,  9.],
                 [ 0., 15.,  6.]]])
    """

    def __init__(self, directions: Sequence[tuple[float, float]], shape: tuple[int, int], detectors: int) -> None:
        self._directions, self._shape, self._detectors = directions, shape, detectors
        self._kept: dict[tuple[Map, int, torch.dtype, torch.device], SparseMatrix] = {}

    def project(self, x: Tensor) -> Tensor:
        """Line integrals of images (n, H, W), shape (n, views, detectors)."""
        images = x.flatten(1)
        rays = torch.cat([matrix.times(images) for _, matrix in self._matrices("project", x)], 1)
        return rays.view(len(x), -1, self._detectors)

    def back_project(self, y: Tensor) -> Tensor:
        """The transpose of :meth:`project`: (n, views, detectors) to (n, H, W)."""
        return self._sum("transpose", y)

    def smear(self, y: Tensor) -> Tensor:
        """Give each pixel the sum of every view's linearly interpolated value at its position, (n, H, W)."""
        return self._sum("interpolate", y)

    def _sum(self, map: Map, y: Tensor) -> Tensor:
        x = y.new_zeros(len(y), self._shape[0] * self._shape[1])
        for views, matrix in self._matrices(map, y):
            x += matrix.times(y[:, views].flatten(1))
        return x.view(-1, *self._shape)

    def _matrices(self, map: Map, like: Tensor) -> Iterator[tuple[slice, SparseMatrix]]:
        """The matrices of a map in the precision of ``like``, each of some of the views."""
        height, width = self._shape
        step = max(1, PIXELS_AT_ONCE // (height * width))
        for start in range(0, len(self._directions), step):
            views = slice(start, start + step)
            key = map, start, like.dtype, like.device
            matrix = self._kept.get(key)
            if matrix is None:
                some = self._directions[views]
                matrix = (self._rays(some) if map == "project" else self._pixels(some, map)).to(like)
                if matrix.nbytes + sum(kept.nbytes for kept in self._kept.values()) <= KEPT_BYTES:
                    self._kept[key] = matrix
            yield views, matrix

    def _rays(self, directions: Sequence[tuple[float, float]]) -> SparseMatrix:
        """The matrix whose rows are rays, view by view. Where a ray crosses a row, or a column, two pixels share it."""
        (height, width), detectors = self._shape, _centred(self._detectors)
        counts, columns, weights = [], [], []
        for cos, sin in directions:
            if abs(cos) >= abs(sin):
                a, b, followed, interpolated, along, across = cos, -sin, height, width, 1, width
            else:
                a, b, followed, interpolated, along, across = -sin, cos, width, height, width, 1
            hit = _hit(a, b, detectors, followed, interpolated)
            d = detectors[hit, None]
            j = _crossed(a, b, d, followed, interpolated)
            position = (d - b * (j - followed // 2.0)) / a + interpolated // 2
            left = np.floor(position)
            fraction = position - left
            i = np.stack([left, left + 1], -1)
            weight = np.stack([1 - fraction, fraction], -1) / abs(a)
            inside = (i >= 0) & (i < interpolated) & (weight > 0)
            pixel = i * along + (j * across)[..., None]
            number = np.zeros(len(detectors), np.int64)
            number[hit] = inside.sum((1, 2))
            counts.append(number)
            columns.append(pixel[inside].astype(np.int32))
            weights.append(weight[inside])
        starts = np.concatenate([[0], np.cumsum(np.concatenate(counts))])
        return _matrix(starts, np.concatenate(columns), np.concatenate(weights))

    def _pixels(self, directions: Sequence[tuple[float, float]], map: Map) -> SparseMatrix:
        """The matrix whose rows are pixels and whose columns are rays: each pixel has the two nearest of every view."""
        height, width = self._shape
        columns = np.empty((height, width, len(directions), 2), np.int32)
        weights = np.empty(columns.shape)
        for k, (cos, sin) in enumerate(directions):
            position = cos * _centred(width) - sin * _centred(height)[:, None] + self._detectors // 2
            left = np.floor(position)
            reach = max(abs(cos), abs(sin)) if map == "transpose" else 1.0
            for side in (0, 1):
                d = left + side
                weight = np.maximum(0, 1 - abs(position - d) / reach) / reach
                weights[:, :, k, side] = np.where((d >= 0) & (d < self._detectors), weight, 0)
                columns[:, :, k, side] = np.clip(d, 0, self._detectors - 1) + k * self._detectors
        starts = np.arange(height * width + 1) * 2 * len(directions)
        return _matrix(starts, columns.ravel(), weights.ravel())


def _hit(a: float, b: float, d: Array, followed: int, interpolated: int) -> NDArray[np.bool_]:
    """The detectors (D,) whose rays ``d = a i + b j`` may meet the image."""
    corners = [a * i + b * j for i in _ends(interpolated) for j in _ends(followed)]
    return (d >= min(corners)) & (d <= max(corners))


def _ends(size: int) -> tuple[int, int]:
    """One before the first and one after the last of pixels that are counted from the centre."""
    return -1 - size // 2, size - size // 2


def _crossed(a: float, b: float, d: Array, followed: int, interpolated: int) -> NDArray[np.int64]:
    """The followed pixels at which rays may be inside the image: (D, n), or (1, n) where it is all of them for each.

    ``d = a i + b j`` with i from -1 to the end of the interpolated axis has ``n = |a| (I + 1) / |b|`` of them.
    """
    count = followed if b == 0 else min(followed, math.ceil(abs(a / b) * (interpolated + 1)) + 3)
    if count == followed:
        return np.arange(followed)[None]
    first = np.floor(((d - a * np.array(_ends(interpolated))) / b).min(1, keepdims=True)) - 1 + followed // 2
    start: NDArray[np.int64] = np.clip(first, 0, followed - count).astype(np.int64)
    return start + np.arange(count)


def _matrix(starts: NDArray[np.int64], columns: NDArray[np.int32], weights: Array) -> SparseMatrix:
    return SparseMatrix(torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(weights))


def _centred(size: int) -> Array:
    return np.arange(size, dtype=np.float64) - size // 2
