"""torch.compile for the parts of a network that repeat."""

from __future__ import annotations

import shutil

import torch
from torch import nn

from idmcli.errors import ConfigError
from idmcli.models.csnet_plus import LateBlock
from idmcli.models.rk_ccsnet import RungeKuttaBlock
from idmcli.models.stable_diffusion import Attention, Residual
from idmcli.models.unet import ResidualBlock

BLOCKS = (Attention, LateBlock, Residual, ResidualBlock, RungeKuttaBlock)


def check_compiler(device: torch.device, asked_by: str) -> None:
    """Refuse to compile where nothing can.

    Args:
        device: where the network will be.
        asked_by: what asked for it, for the message.

    Raises:
        ConfigError: torch.compile has no compiler to work with.
    """
    if device.type == "cpu" and not (shutil.which("g++") or shutil.which("clang++")):
        raise ConfigError(f"{asked_by} needs a C++ compiler", "install g++ or clang++, or leave it out")


def compile_blocks(network: nn.Module) -> None:
    """Compile the residual and attention blocks in place: blocks of one kind and size share their code.

    A network without such blocks, of other authors, is compiled as a whole.
    """
    blocks = [module for module in network.modules() if isinstance(module, BLOCKS)]
    for module in blocks:
        module.compile()
    if not blocks:  # its hooks, which count, stay outside
        network.forward = torch.compile(network.forward)
