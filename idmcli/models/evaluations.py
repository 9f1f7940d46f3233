"""How often networks are evaluated: the price of a method on any machine."""

from __future__ import annotations

from typing import Any

from torch import nn

from idmcli.models.architectures import UNet


class Evaluations:
    """Counts the calls of networks: of each U-Net of idm's in them, or of the whole where there is none.

    A call for a batch of images or channels counts once, with or without a gradient through it.
    """

    def __init__(self) -> None:
        self.count = 0

    def watch(self, network: nn.Module) -> None:
        """Count the calls of a network too, from now on."""
        unets: list[nn.Module] = [module for module in network.modules() if isinstance(module, UNet)]
        for module in unets or [network]:
            module.register_forward_hook(self._add)

    def _add(self, *_: Any) -> None:
        self.count += 1
