"""Noise of sampling methods: its levels, and random numbers that do not depend on the device."""

from __future__ import annotations

import math

import torch
from torch import Generator, Tensor

SIGMA_START, SIGMA_END = 1.5, 0.005


def falling_levels(steps: int, start: float = SIGMA_START, end: float = SIGMA_END) -> list[float]:
    """Noise levels that fall geometrically, for images in [0, 1].

    Args:
        steps: their number.
        start: the first.
        end: the last.

    Returns:
        the levels, and zero after them.
    """
    return [*torch.logspace(math.log10(start), math.log10(end), steps).tolist(), 0.0]


def ddim_noise(level: float, following: float, eta: float) -> tuple[float, float]:
    """How much fresh noise a step to the following level adds and how much of the old unit noise it keeps.

    They are ``c1 = eta s' sqrt(1 - s'^2 / s^2)`` and ``c2 = sqrt(s'^2 - c1^2)`` (Song, Meng & Ermon, ICLR 2021, Eqs. 12
    and 16, divided by sqrt(ab')).

    Args:
        level: s, > 0.
        following: s', from 0 to s.
        eta: share of fresh noise: 1 for the ancestral step of DDPM, 0 for none.

    Returns:
        c1 and c2.
    """
    fresh = eta * following * math.sqrt(1 - (following / level) ** 2)
    return fresh, math.sqrt(following**2 - fresh**2)


def normal_like(x: Tensor, generator: Generator) -> Tensor:
    """White Gaussian noise in the shape and precision of x, drawn by a CPU generator.

    Every real number of it has unit variance, the real and the imaginary parts of a complex one too.
    """
    if x.is_complex():
        return torch.view_as_complex(torch.randn(*x.shape, 2, generator=generator)).to(x)
    return torch.randn(x.shape, generator=generator).to(x)
