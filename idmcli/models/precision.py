"""The precision of networks, by what the device computes fast."""

from __future__ import annotations

from typing import Literal, cast

import torch
from torch import Tensor, nn

Precision = Literal["float32", "bf16"]


def choose_precision(wanted: Precision | Literal["auto"], device: torch.device) -> Precision:
    """``wanted``; for "auto" bf16 where the device has instructions for it, float32 elsewhere."""
    if wanted != "auto":
        return wanted
    return "bf16" if has_bf16(device) else "float32"


def has_bf16(device: torch.device) -> bool:
    """Whether a device multiplies matrices of bfloat16 in hardware."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    names = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")  # of this PyTorch; another may lack them
    return any(getattr(torch.cpu, name, lambda: False)() for name in names)


def precisely(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A layer outside of autocast: an image in half precision is rounded by more than the lowest noise levels."""
    with torch.autocast(x.device.type, enabled=False):
        return cast(Tensor, layer(x.to(layer.weight.dtype)))
