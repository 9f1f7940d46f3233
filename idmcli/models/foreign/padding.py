"""Images of any size for networks that halve them."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def pad_to(x: Tensor, multiple: int, mode: str = "replicate") -> Tensor:
    """Images continued below and on the right to sides that are multiples of a number; the rest is for cropping.

    "reflect" is "replicate" for images smaller than what they lack.
    """
    height, width = x.shape[2:]
    pad = (0, -width % multiple, 0, -height % multiple)
    if not any(pad):
        return x
    return F.pad(x, pad, mode=mode if min(height, width) > max(pad) else "replicate")
