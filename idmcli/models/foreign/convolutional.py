"""DnCNN, IRCNN and FFDNet: chains of 3x3 convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from idmcli.models.foreign.padding import pad_to

IRCNN_DILATIONS = (1, 2, 3, 4, 3, 2, 1)


def chain(widths: Sequence[int], dilations: Sequence[int] = ()) -> nn.Sequential:
    """Convolutions with biases between these numbers of channels, ReLU between them: KAIR's ``model``."""
    layers: list[nn.Module] = []
    dilations = dilations or [1] * (len(widths) - 1)
    for inner, outer, dilation in zip(widths, widths[1:], dilations, strict=False):
        layers += [nn.Conv2d(inner, outer, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def normalised_chain(widths: Sequence[int]) -> nn.Sequential:
    """Convolutions without biases, and batch normalisation behind all but the first and the last: the
    ``itermediate_dncnn`` of FFDNet's IPOL paper."""
    layers: list[nn.Module] = []
    for place, (inner, outer) in enumerate(zip(widths, widths[1:], strict=False)):
        layers.append(nn.Conv2d(inner, outer, 3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(outer)] if 0 < place < len(widths) - 2 else []
        layers.append(nn.ReLU())
    return nn.Sequential(*layers[:-1])


class DnCNN(nn.Module):
    """``x - model(x)``: it finds the noise level itself (Zhang et al., TIP 2017).

    Args:
        channels: of images.
        features: between the layers.
        layers: 17 for one noise level, 20 for many.
    """

    def __init__(self, channels: int, features: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        self.model = chain([channels, *[features] * (layers - 1), channels])

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        noise: Tensor = self.model(x)
        return x - noise


class IRCNN(nn.Module):
    """``x - model(x)`` with a network for each of 25 noise levels, 2, 4 .. 50 of 255 (Zhang et al., CVPR 2017).

    A level between two of them takes the higher one, as its authors do.

    Args:
        channels: of images.
        features: between the layers.
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


class FFDNet(nn.Module):
    """The four half-size images in an image, and a map of the noise level, to the denoised image (Zhang et al., TIP
    2018), in KAIR's layout.

    Args:
        channels: of images.
        features: between the layers.
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
    """FFDNet as in its IPOL paper (Tassano, Delon & Veit, 2019): a map for each channel, in front, and the noise as
    the output.

    Args:
        channels: of images.
        features: between the layers.
        layers: 15 for grey images, 12 for colour.
    """

    def __init__(self, channels: int, features: int, layers: int) -> None:
        super().__init__()
        self.channels = channels
        widths = [5 * channels, *[features] * (layers - 1), 4 * channels]
        self.intermediate_dncnn = nn.ModuleDict({"itermediate_dncnn": normalised_chain(widths)})  # its spelling

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        parts = F.pixel_unshuffle(pad_to(x, 2), 2)
        levels = sigma.expand(-1, x.shape[1], *parts.shape[2:])
        noise: Tensor = self.intermediate_dncnn["itermediate_dncnn"](torch.cat([levels, parts], 1))
        return x - F.pixel_shuffle(noise, 2)[..., : x.shape[2], : x.shape[3]]
