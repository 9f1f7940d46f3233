"""Joseph's parallel-beam projector and its transpose (P. M. Joseph, IEEE Trans. Med. Imaging 1(3), 1982).

A view looks along the rays ``d = c cos t - r sin t``, with column c, row r and detector d counted from
the centres W // 2, H // 2 and D // 2. Where ``|cos t| >= |sin t|`` a ray is followed row by row and
interpolated along the row, otherwise column by column: in both cases ``d = a i + b j``, with i the
interpolated and j the followed axis and ``|a| >= |b|``, and the pixel (j, i) has in ray d the weight

    max(0, 1 - |a i + b j - d| / |a|) / |a|.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

Directions = Sequence[tuple[float, float]]  # (cos t, sin t) of each view

CHUNK = 2**20  # interpolated values per step: bounds the memory, a few times this in float64


def project(x: Tensor, directions: Directions, detectors: int) -> Tensor:
    """Line integrals of images (n, H, W), shape (n, views, detectors)."""
    y = x.new_zeros(len(x), len(directions), detectors)
    for along_columns in (False, True):
        image = x.mT if along_columns else x
        height, width = image.shape[1:]
        flat = pad(image, (2, 2)).flatten(1)
        j, d = _centred(height, x.device).view(-1, 1), _centred(detectors, x.device)
        starts = torch.arange(height, device=x.device).view(-1, 1) * (width + 4)
        for views, a, b in _chunks(directions, along_columns, len(x) * height * detectors, x.device):
            index, fraction = _interpolate((d - b * j) / a + width // 2, width)
            rays = torch.lerp(*_neighbours(flat, index + starts), fraction.to(x.dtype))
            y[:, views] = rays.sum(2) / a.abs().view(-1, 1).to(x.dtype)
    return y


def back_project(y: Tensor, directions: Directions, shape: tuple[int, int], *, transpose: bool = True) -> Tensor:
    """The transpose of :func:`project`: (n, views, detectors) to (n, H, W).

    With ``transpose=False`` each pixel instead gets every view's linearly interpolated value at its position,
    as filtered back-projection wants it.
    """
    detectors = y.shape[2]
    x = y.new_zeros(len(y), *shape)
    for along_columns in (False, True):
        image = x.mT if along_columns else x  # a view of x
        height, width = image.shape[1:]
        j, i = _centred(height, y.device).view(-1, 1), _centred(width, y.device)
        for views, a, b in _chunks(directions, along_columns, len(y) * height * width, y.device):
            flat = pad(y[:, views], (2, 2)).flatten(1)
            starts = torch.arange(len(views), device=y.device).view(-1, 1, 1) * (detectors + 4)
            index, fraction = _interpolate(a * i + b * j + detectors // 2, detectors)
            reach = a.abs() if transpose else torch.ones_like(a)
            left, right = _neighbours(flat, index + starts)
            left_weight = (1 - fraction / reach).clamp(min=0) / reach
            right_weight = (1 - (1 - fraction) / reach).clamp(min=0) / reach
            image += (left * left_weight.to(y.dtype) + right * right_weight.to(y.dtype)).sum(1)
    return x


def _centred(size: int, device: torch.device) -> Tensor:
    return torch.arange(size, dtype=torch.float64, device=device) - size // 2


def _chunks(
    directions: Directions, along_columns: bool, work: int, device: torch.device
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Views followed along one axis, a few at a time: their indices, and a and b as (views, 1, 1)."""
    chosen = [k for k, (cos, sin) in enumerate(directions) if (abs(cos) < abs(sin)) == along_columns]
    step = max(1, CHUNK // work)
    for start in range(0, len(chosen), step):
        views = chosen[start : start + step]
        cos, sin = torch.tensor([directions[k] for k in views], dtype=torch.float64, device=device).T.reshape(
            2, -1, 1, 1
        )
        a, b = (-sin, cos) if along_columns else (cos, -sin)
        yield torch.tensor(views, device=device), a, b


def _interpolate(position: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Index of the left neighbour, in rows padded by two zeros at both ends, and the fraction beyond it."""
    left = position.floor()
    return left.clamp(-2, size).long() + 2, position - left


def _neighbours(flat: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
    """The values of rows (n, ...) at ``index`` and right of it, (n, \\*index.shape)."""
    left = flat.index_select(1, index.flatten())
    right = flat.index_select(1, index.flatten() + 1)
    return left.view(-1, *index.shape), right.view(-1, *index.shape)
