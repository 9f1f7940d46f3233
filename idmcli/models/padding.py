"""Images of any size for networks that halve them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pad_to(x: Tensor, multiple: int, mode: str = "replicate") -> Tensor:
    """Images continued below and on the right until their sides are multiples of a number.

    Args:
        x: images, (B, C, H, W).
        multiple: the sides of the result are multiples of it; the caller crops what was added.
        mode: how images go on, "replicate" or "reflect". An image that is smaller than what it lacks cannot be
            reflected: it is replicated.

    Returns:
        (B, C, H', W') with the smallest such H' >= H and W' >= W.

    >>> import torch
    >>> pad_to(torch.zeros(1, 1, 5, 8), 4).shape
    torch.Size([1, 1, 8, 8])
    """
    height, width = x.shape[2:]
    pad = (0, -width % multiple, 0, -height % multiple)
    if not any(pad):
        return x
    return F.pad(x, pad, mode=mode if min(height, width) > max(pad) else "replicate")
