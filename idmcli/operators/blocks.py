"""Images cut into square blocks."""

from __future__ import annotations

from torch import Tensor


def next_multiples(size: tuple[int, int], block: int) -> tuple[int, int]:
    """The least multiples of ``block`` from (H, W) on."""
    height, width = size
    return -(-height // block) * block, -(-width // block) * block


def to_blocks(x: Tensor, block: int) -> Tensor:
    """Images (B, C, H, W), whose sides are multiples of ``block``, as vectors (B, C, blocks, block^2) in row-major
    order.
    """
    rows = x.reshape(*x.shape[:2], x.shape[2] // block, block, -1, block).transpose(3, 4)
    return rows.reshape(*x.shape[:2], -1, block**2)


def from_blocks(v: Tensor, size: tuple[int, int]) -> Tensor:
    """The inverse of :func:`to_blocks`: vectors (B, C, blocks, b^2) to images (B, C, H, W) with ``size = (H, W)``."""
    (height, width), block = size, round(v.shape[3] ** 0.5)
    rows = v.view(*v.shape[:2], height // block, width // block, block, block).transpose(3, 4)
    return rows.reshape(*v.shape[:2], height, width)
