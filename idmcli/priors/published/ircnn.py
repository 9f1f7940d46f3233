"""IRCNN (Zhang et al., CVPR 2017): 25 networks for as many noise levels, in one file of KAIR."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.convolutions import IRCNN_DILATIONS, chain, layer_numbers
from idmcli.priors.published.networks import (
    Tensors,
    build_network,
    check_image_channels,
    load_tensors,
    photographs,
)


class IRCNN(nn.Module):
    """``x - model(x)`` with a network for each of the noise levels 2, 4 .. 50 of 255.

    A level between two of them takes the network of the higher one, as its authors do.

    Args:
        channels: number of channels of images.
        features: number of channels between the layers.
        networks: how many.
    """

    STEP = 2 / 255

    def __init__(self, channels: int, features: int, networks: int = 25) -> None:
        super().__init__()
        self.channels = channels
        widths = [channels, *[features] * (len(IRCNN_DILATIONS) - 1), channels]
        self.networks = nn.ModuleList(nn.ModuleDict({"model": chain(widths, IRCNN_DILATIONS)}) for _ in range(networks))

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        places = (sigma.flatten() / self.STEP - 1e-3).ceil().sub(1).clamp(0, len(self.networks) - 1).long().tolist()
        denoised = torch.empty_like(x)
        for place in set(places):
            chosen = [index for index, other in enumerate(places) if other == place]
            network = self.networks[place].get_submodule("model")
            denoised[chosen] = (x[chosen] - network(x[chosen])).to(x.dtype)
        return denoised


def recognises(source: Source) -> bool:
    """Whether a state dict holds numbered chains of convolutions."""
    return _network_numbers(source.tensors) is not None


def load(source: Source) -> ModulePrior:
    """The prior in a state dict.

    Raises:
        InputError: it is damaged.
        NumericalError: a value is not finite.
    """
    path, tensors = source.path, source.tensors

    def build() -> IRCNN:
        first, numbers = tensors["0.model.0.weight"], _network_numbers(tensors) or {0}
        return IRCNN(check_image_channels(path, first.shape[1]), first.shape[0], max(numbers) + 1)

    network = load_tensors(path, build_network(path, build), tensors, lambda name: name.removeprefix("networks."))
    levels = (IRCNN.STEP, len(network.networks) * IRCNN.STEP)
    return ModulePrior(network, path.stem, photographs(network.channels, symmetric=True), levels)


def _network_numbers(tensors: Tensors) -> set[int] | None:
    return layer_numbers(tensors, r"(\d+)\.model\.\d+\.(weight|bias)")


FORMAT = PriorFormat(recognises, load)
