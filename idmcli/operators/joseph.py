"""Line integrals of images by linear interpolation (P. M. Joseph, IEEE Trans. Med. Imaging 1(3), 1982), as matrices.

Columns c and rows r are counted from the middle of the grid. A ray is the line ``n_c c + n_r r = s`` with a unit
normal. Where ``|n_c| >= |n_r|`` it is followed row by row and the image interpolated along each row, otherwise column
by column. With i the interpolated and j the followed axis, the ray has the pixel (i, j) with the weight

    max(0, 1 - |i - (s - n_j j) / n_i|) / |n_i|.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from idmcli.numerics.sparse import SparseMatrix

Array = NDArray[np.float64]


def line_integrals(n_c: Array, n_r: Array, s: Array, shape: tuple[int, int]) -> SparseMatrix:
    """The matrix whose rows are rays, and whose columns are the pixels of an image in row-major order.

    Args:
        n_c: column components of the rays' normals, (rays,).
        n_r: row components, (rays,).
        s: distances of the rays from the middle of the grid, (rays,), in pixels.
        shape: (H, W) of the image.

    Returns:
        the matrix in double precision.

    Example:
        >>> rays = line_integrals(np.array([1.0, 0.0]), np.array([0.0, 1.0]), np.array([1.0, 0.0]), (3, 3))
        >>> rays.times(torch.arange(1.0, 10, dtype=torch.float64)[None])
        tensor([[18., 15.]], dtype=torch.float64)
    """
    height, width = shape
    by_rows = abs(n_c) >= abs(n_r)
    along, across = np.where(by_rows, (n_c, n_r), (n_r, n_c))
    size_i, size_j = np.where(by_rows, [[width], [height]], [[height], [width]])
    stride_i, stride_j = np.where(by_rows, [[1], [width]], [[width], [1]])
    first, last = _followed(along, across, s, size_i, size_j)
    counts = (last - first).astype(np.int64)
    ray = np.repeat(np.arange(len(s)), counts)
    j = np.arange(len(ray)) - np.repeat(np.cumsum(counts) - counts - first.astype(np.int64), counts)
    crossing = (s[ray] - across[ray] * (j - (size_j[ray] - 1) / 2)) / along[ray] + (size_i[ray] - 1) / 2
    left = np.floor(crossing)
    fraction = crossing - left
    weights = np.stack([1 - fraction, fraction], -1) / abs(along)[ray, None]
    i = np.stack([left, left + 1], -1)
    inside = (i >= 0) & (i < size_i[ray, None]) & (weights > 0)
    pixels = i * stride_i[ray, None] + (j * stride_j[ray])[:, None]
    found = np.bincount(np.repeat(ray, 2)[inside.ravel()], minlength=len(s))
    return _matrix(np.concatenate([[0], np.cumsum(found)]), pixels[inside].astype(np.int32), weights[inside])


def interpolation(positions: Array, factors: Array, detectors: int) -> SparseMatrix:
    """The matrix that gives each pixel the sum over the views of the linearly interpolated values at its positions.

    Args:
        positions: of each pixel on the detector, counted from the first cell, (views, pixels).
        factors: of the interpolated values, (views, pixels).
        detectors: cells of each view.

    Returns:
        the matrix (pixels, views * detectors) in double precision.
    """
    views, pixels = positions.shape
    left = np.floor(positions.T[..., None])
    cells = left + [0, 1]
    weights = (1 - abs(positions.T[..., None] - cells)) * factors.T[..., None]
    weights[(cells < 0) | (cells >= detectors)] = 0
    columns = np.clip(cells, 0, detectors - 1) + np.arange(views)[:, None] * detectors
    starts = np.arange(pixels + 1) * 2 * views
    return _matrix(starts, columns.ravel().astype(np.int32), weights.ravel())


def _followed(along: Array, across: Array, s: Array, size_i: Array, size_j: Array) -> tuple[Array, Array]:
    """The range of the followed pixels j in which rays ``s = along i + across j``, from the middle, may be inside."""
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = np.stack([(s - along * end) / across for end in (-(size_i + 1) / 2, (size_i + 1) / 2)])
    hit = abs(s) < abs(along) * (size_i + 1) / 2
    ends = np.where(across == 0, np.where(hit, [[-np.inf], [np.inf]], np.inf), ends) + (size_j - 1) / 2
    first = np.clip(np.floor(ends.min(0)), 0, size_j)
    return first, np.clip(np.ceil(ends.max(0)) + 1, first, size_j)


def _matrix(starts: NDArray[np.int64], columns: NDArray[np.int32], weights: Array) -> SparseMatrix:
    return SparseMatrix(torch.from_numpy(starts), torch.from_numpy(columns), torch.from_numpy(weights))
