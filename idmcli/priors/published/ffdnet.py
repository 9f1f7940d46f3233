"""FFDNet (Zhang et al., TIP 2018) in the layouts of KAIR and of its IPOL paper (Tassano, Delon & Veit, 2019)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.padding import pad_to
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.convolutions import FFDNET_ENDS, chain, chain_ends, chain_length, layer_numbers
from idmcli.priors.published.networks import (
    Tensors,
    build_network,
    check_image_channels,
    load_tensors,
    photographs,
)

NOISE_LEVELS = (0.0, 75 / 255)
IPOL_PREFIX = "intermediate_dncnn.itermediate_dncnn."  # its spelling


class FFDNet(nn.Module):
    """The four half-size images in an image, and a map of the noise level, to the denoised image; KAIR's layout.

    Args:
        channels: number of channels of images.
        features: number of channels between the layers.
        layers: 15 for grey images, 12 for colour.
    """

    def __init__(self, channels: int, features: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        self.model = chain([4 * channels + 1, *[features] * (layers - 1), 4 * channels])

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        parts = F.pixel_unshuffle(pad_to(x, 2), 2)
        level = sigma.expand(-1, 1, *parts.shape[2:])
        denoised: Tensor = self.model(torch.cat([parts, level], 1))
        return F.pixel_shuffle(denoised, 2)[..., : x.shape[2], : x.shape[3]]


class NormalisedFFDNet(nn.Module):
    """FFDNet as in its IPOL paper: a map of the noise level for each channel, in front, and the noise as the output.

    Args:
        channels: number of channels of images.
        features: number of channels between the layers.
        layers: 15 for grey images, 12 for colour.
    """

    def __init__(self, channels: int, features: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [5 * channels, *[features] * (layers - 1), 4 * channels]
        self.intermediate_dncnn = nn.ModuleDict({"itermediate_dncnn": _normalised_chain(widths)})

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        parts = F.pixel_unshuffle(pad_to(x, 2), 2)
        levels = sigma.expand(-1, x.shape[1], *parts.shape[2:])
        noise: Tensor = self.intermediate_dncnn["itermediate_dncnn"](torch.cat([levels, parts], 1))
        return x - F.pixel_shuffle(noise, 2)[..., : x.shape[2], : x.shape[3]]


def _normalised_chain(widths: Sequence[int]) -> nn.Sequential:
    """Convolutions without biases, batch normalisation behind all but the first and the last, ReLU between them."""
    layers: list[nn.Module] = []
    for place, (inner, outer) in enumerate(pairwise(widths)):
        layers.append(nn.Conv2d(inner, outer, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(outer)] if 0 < place < len(widths) - 2 else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


def recognises(source: Source) -> bool:
    """Whether a state dict is FFDNet's, in either layout."""
    return _is_kair(source.tensors) or _ipol_numbers(source.tensors) is not None


def load(source: Source) -> ModulePrior:
    """The prior in a state dict.

    Raises:
        InputError: it is damaged.
        NumericalError: a value is not finite.
    """
    path, tensors = source.path, source.tensors

    def build() -> FFDNet:
        layers = chain_length(tensors) or 0
        first, last = tensors["model.0.weight"], tensors[f"model.{2 * (layers - 1)}.weight"]
        return FFDNet(last.shape[0] // 4, first.shape[0], layers)

    def build_ipol() -> NormalisedFFDNet:
        first = tensors[f"{IPOL_PREFIX}0.weight"]
        layers = (max(_ipol_numbers(tensors) or {0}) + 4) // 3  # convolutions 0, 2, 5, 8 ..
        return NormalisedFFDNet(check_image_channels(path, first.shape[1] // 5), first.shape[0], layers)

    network = build_network(path, build) if _is_kair(tensors) else build_network(path, build_ipol)
    load_tensors(path, network, tensors)
    return ModulePrior(network, path.stem, photographs(network.channels, symmetric=True), NOISE_LEVELS)


def _is_kair(tensors: Tensors) -> bool:
    layers = chain_length(tensors)
    return layers is not None and chain_ends(tensors, layers) in FFDNET_ENDS


def _ipol_numbers(tensors: Tensors) -> set[int] | None:
    return layer_numbers(tensors, re.escape(IPOL_PREFIX) + r"(\d+)\.\w+")


FORMAT = PriorFormat(recognises, load)
