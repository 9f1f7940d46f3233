"""Random numbers that do not depend on the device."""

from __future__ import annotations

import torch
from torch import Generator, Tensor


def normal_like(x: Tensor, generator: Generator) -> Tensor:
    """White Gaussian noise of unit variance in the shape and precision of x, drawn by a CPU generator."""
    return torch.randn(x.shape, generator=generator).to(x)
