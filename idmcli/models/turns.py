"""The eight flips and quarter turns of an image."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def mean_over_turns(function: Callable[[Tensor, int], Tensor], x: Tensor, numbers: Sequence[int]) -> Tensor:
    """The mean of a map from images to images over turns: each of the turned image and its number, turned back."""
    views = [turn_back(function(turn(x, number), number), number) for number in numbers]
    return views[0] if len(views) == 1 else torch.stack(views).mean(0)
