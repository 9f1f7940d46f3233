"""The eight flips and quarter turns of an image."""

from __future__ import annotations

import torch
from torch import Tensor

TURNS = 8


def turn(x: Tensor, number: int) -> Tensor:
    """A turn of images (B, C, H, W): quarter turns, ``number % 4`` of them, and from 4 to 7 a flip after them."""
    x = torch.rot90(x, number % 4, (2, 3)) if number % 4 else x
    return x.flip(3) if number >= 4 else x


def turn_back(x: Tensor, number: int) -> Tensor:
    """The inverse of :func:`turn`."""
    x = x.flip(3) if number >= 4 else x
    return torch.rot90(x, -(number % 4), (2, 3)) if number % 4 else x
