"""DnCNN (Zhang et al., TIP 2017) in the layout of KAIR."""

from __future__ import annotations

import re
from pathlib import Path

from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.convolutions import FFDNET_ENDS, IRCNN_DILATIONS, chain, chain_ends, chain_length
from idmcli.priors.published.networks import build_network, check_image_channels, load_tensors, photographs

BLIND_LAYERS, BLIND_LEVELS = 20, (0.0, 55 / 255)


class DnCNN(nn.Module):
    """``x - model(x)``: the network infers the noise level from the image.

    Args:
        channels: number of channels of images.
        features: number of channels between the layers.
        layers: 17 for one noise level, 20 for many.
    """

    def __init__(self, channels: int, features: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        self.model = chain([channels, *[features] * (layers - 1), channels])

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        noise: Tensor = self.model(x)
        return x - noise


def recognises(source: Source) -> bool:
    """Whether a state dict is a chain of convolutions, and not FFDNet's."""
    layers = chain_length(source.tensors)
    return layers is not None and chain_ends(source.tensors, layers) not in FFDNET_ENDS


def load(source: Source) -> ModulePrior:
    """The prior in a state dict.

    Raises:
        InputError: it is no DnCNN, it is damaged, or it is for one noise level that its name does not say.
        NumericalError: a value is not finite.
    """
    path, tensors = source.path, source.tensors
    layers = chain_length(tensors) or 0

    def build() -> DnCNN:
        first, last = tensors["model.0.weight"], tensors[f"model.{2 * (layers - 1)}.weight"]
        inner, outer, features = first.shape[1], last.shape[0], first.shape[0]
        if inner == outer and layers != len(IRCNN_DILATIONS):
            return DnCNN(check_image_channels(path, outer), features, layers)
        raise InputError(
            f"{str(path)!r} is a network of {layers} convolutions from {inner} to {outer} channels, and neither a "
            "DnCNN nor an FFDNet",
            "name the whole file of IRCNN's networks, not one of them" if inner == outer else "",
        )

    network = load_tensors(path, build_network(path, build), tensors)
    return ModulePrior(network, path.stem, photographs(network.channels, symmetric=True), _levels(path, layers))


def _levels(path: Path, layers: int) -> tuple[float, float]:
    """The levels within 1 of 255 of the one in a file's name; without one, the levels of a blind network."""
    level = re.search(r"[_-](\d{1,2})(?!\d)", path.stem)
    if level is not None:
        return (int(level[1]) - 1) / 255, (int(level[1]) + 1) / 255
    if layers >= BLIND_LAYERS:
        return BLIND_LEVELS
    raise InputError(
        f"{str(path)!r} is a DnCNN for one noise level, and its name does not say which",
        "call the file dncnn_25.pth, for example, if it is for 25 of 255",
    )


FORMAT = PriorFormat(recognises, load)
