"""Where points of k-space lie: the field of view, the calibration region, and the operator's convention."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

LARGEST = 24  # points a side, of the calibration region


class Box(NamedTuple):
    """A rectangle of k-space around frequency zero, at (H // 2, W // 2)."""

    height: int
    width: int

    def cut(self, samples: Tensor) -> Tensor:
        """The rectangle of (..., H, W)."""
        top, left = (n // 2 - side // 2 for n, side in zip(samples.shape[-2:], self, strict=True))
        box: Tensor = samples[..., top : top + self.height, left : left + self.width]
        return box


def calibration_box(sampled: NDArray[np.bool_]) -> Box:
    """The largest rectangle around frequency zero that is fully sampled, of at most ``LARGEST`` points a side.

    Args:
        sampled: boolean, (H, W).

    Returns:
        the rectangle; 0 x 0 if frequency zero was not sampled.
    """
    most = [min(LARGEST, n) for n in sampled.shape]
    places = torch.from_numpy(np.ascontiguousarray(sampled))
    found, width = Box(0, 0), most[1]
    for height in range(1, most[0] + 1):
        while width and not bool(Box(height, width).cut(places).all()):
            width -= 1
        found = max(found, Box(height, width), key=math.prod)
    return found


def cropped(samples: Tensor, axis: int, count: int) -> Tensor:
    """K-space of the middle of the field of view alone; the axis must be fully sampled.

    Args:
        samples: complex, with frequency zero at N // 2.
        axis: of the readout.
        count: pixels that remain; the noise of a sample stays what it was.
    """
    centred = torch.fft.ifftshift(samples, axis)
    image = torch.fft.fftshift(torch.fft.ifft(centred, dim=axis, norm="ortho"), axis)
    start = image.shape[axis] // 2 - count // 2
    kept = torch.fft.ifftshift(image.narrow(axis, start, count), axis)
    smaller: Tensor = torch.fft.fftshift(torch.fft.fft(kept, dim=axis, norm="ortho"), axis)
    return smaller


def origin_moved(samples: Tensor) -> Tensor:
    """K-space of images whose origin is their first pixel, from k-space of images with the origin at (H // 2, W // 2).

    It is ``k(u) exp(-2 pi i u (N // 2) / N)`` along both axes, for frequencies u from -(N // 2).
    """
    for axis in (-2, -1):
        n = samples.shape[axis]
        u = torch.arange(n, dtype=torch.float64) - n // 2
        turn = torch.exp(-2j * math.pi * torch.remainder(u * (n // 2), n) / n).to(samples.dtype)
        samples = samples * (turn[:, None] if axis == -2 else turn)
    return samples


def by(sizes: Iterable[int]) -> str:
    """Sizes for people: "230 x 180"."""
    return " x ".join(map(str, sizes))
