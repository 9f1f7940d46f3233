"""Noise of sampling methods: its levels, and random numbers that do not depend on the device."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

SIGMA_START, SIGMA_END = 1.5, 0.005


def falling_levels(steps: int) -> list[float]:
    """``steps`` noise levels that fall geometrically from 1.5 to 0.005, for images in [0, 1], and zero after them."""
    return [*torch.logspace(math.log10(SIGMA_START), math.log10(SIGMA_END), steps).tolist(), 0.0]


def normal_like(x: Tensor, generator: Generator) -> Tensor:
    """White Gaussian noise of unit variance in the shape and precision of x, drawn by a CPU generator."""
    return torch.randn(x.shape, generator=generator).to(x)
