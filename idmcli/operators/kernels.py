"""Blur kernels: the picture of a point. Each is (K, L), float64, >= 0, with the sum 1."""

from __future__ import annotations

import math
import sys

import numpy as np
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.checks import check_finite, check_seed, is_integer, is_number, shown

MAX_SIZE = 1001  # of each side
PATH_STEPS = 4096  # of the camera during the exposure


def gaussian_kernel(size: int, std: float) -> Tensor:
    """A Gaussian sampled at the pixels, (size, size).

    Args:
        size: odd.
        std: standard deviation in pixels, > 0.

    Raises:
        InputError: one of them is out of range.
    """
    _check_size(size)
    if not is_number(std) or not 0 < std <= sys.float_info.max:
        raise InputError(f"the standard deviation of the blur is {shown(std)}", "it must be a number > 0, in pixels")
    offsets = torch.arange(size, dtype=torch.float64) - size // 2
    line = torch.exp(-((offsets / std) ** 2) / 2)
    return torch.outer(line, line) / line.sum() ** 2


def motion_kernel(size: int, intensity: float, seed: int) -> Tensor:
    """The path of a camera that shakes, (size, size), after Boracchi & Foi (IEEE TIP 21, 2012).

    The camera moves at constant speed over ``size - 1`` pixels. Its heading is a random walk with a few sudden
    turns; both grow with the intensity, 0 for a straight line to 1 for a scribble.

    Args:
        size: odd.
        intensity: 0 to 1.
        seed: of a PCG64 generator.

    Returns:
        the kernel.

    Raises:
        InputError: one of them is out of range.
    """
    _check_size(size)
    if not is_number(intensity) or not 0 <= intensity <= 1:
        raise InputError(f"the intensity of the motion is {shown(intensity)}", "it must be from 0 to 1")
    generator = np.random.Generator(np.random.PCG64(check_seed("seed of the motion", seed)))
    start = generator.uniform(0, 2 * math.pi)
    walk = generator.standard_normal(PATH_STEPS) * math.pi / math.sqrt(PATH_STEPS)
    sudden = generator.random(PATH_STEPS) < 4 * intensity / PATH_STEPS
    turns = sudden * generator.uniform(-math.pi, math.pi, PATH_STEPS)
    heading = start + intensity * np.cumsum(walk) + np.cumsum(turns)
    path = np.cumsum(np.stack([np.sin(heading), np.cos(heading)]), 1) * (size - 1) / PATH_STEPS
    middle = (path.min(1) + path.max(1)) / 2
    return _draw(path - middle[:, None] + size // 2, size)


def _draw(path: np.ndarray[tuple[int, int], np.dtype[np.float64]], size: int) -> Tensor:
    """Positions (2, n) inside a picture, each shared among its four pixels."""
    kernel = np.zeros((size + 1, size + 1))
    corner = np.floor(path).astype(int)
    weight = path - corner
    for down in (0, 1):
        for right in (0, 1):
            share = np.abs(1 - down - weight[0]) * np.abs(1 - right - weight[1])
            np.add.at(kernel, (corner[0] + down, corner[1] + right), share)
    inside = kernel[:size, :size]
    return torch.from_numpy(inside / inside.sum())


def check_kernel(kernel: Tensor) -> Tensor:
    """A given kernel, with the sum 1.

    Raises:
        InputError: it is not a matrix of at most 1001 x 1001 real numbers >= 0, or all of them are zero.
    """
    if kernel.ndim != 2 or not 0 < max(kernel.shape) <= MAX_SIZE or not kernel.numel() or kernel.is_complex():
        raise InputError(
            f"the kernel has shape {tuple(kernel.shape)} and type {kernel.dtype}",
            f"it must be a matrix of at most {MAX_SIZE} x {MAX_SIZE} real numbers",
        )
    check_finite("kernel", kernel)
    kernel = kernel.double()
    if bool((kernel < 0).any()) or not bool((kernel > 0).any()):
        raise InputError("the kernel is zero, or negative somewhere", "its values are weights of light, >= 0")
    total = kernel.sum()
    return kernel if abs(float(total) - 1) < 1e-12 else kernel / total  # the same again for one made here


def _check_size(size: int) -> None:
    if not is_integer(size) or not 1 <= size <= MAX_SIZE or size % 2 == 0:
        raise InputError(f"the size of the kernel is {shown(size)}", f"it must be odd, from 1 to {MAX_SIZE}")
