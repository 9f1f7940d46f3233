"""torch.compile for the parts of a network that repeat."""

from __future__ import annotations

from torch import nn

from idmcli.models.stable_diffusion import Attention, Residual
from idmcli.models.unet import ResidualBlock


def compile_blocks(unet: nn.Module) -> None:
    """Compile the residual and attention blocks in place: blocks of one kind and size share their code."""
    for module in unet.modules():
        if isinstance(module, Attention | Residual | ResidualBlock):
            module.compile()
