"""Chains of 3x3 convolutions, which are all there is in DnCNN, FFDNet and IRCNN, and their state dicts."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from idmcli.priors.published.networks import Tensors

IRCNN_DILATIONS = (1, 2, 3, 4, 3, 2, 1)
FFDNET_ENDS = ((5, 4), (13, 12))  # channels of its first input and its last output, for grey and for colour images


def chain(widths: Sequence[int], dilations: Sequence[int] = ()) -> nn.Sequential:
    """Convolutions with biases and ReLU between them: the ``model`` of KAIR's networks.

    Args:
        widths: channels before the first convolution and after each.
        dilations: the dilation of each convolution; empty for 1 everywhere.

    Returns:
        Layers 0, 2, 4 .. are the convolutions. Images keep their size.
    """
    layers: list[nn.Module] = []
    dilations = dilations or [1] * (len(widths) - 1)
    for (inner, outer), dilation in zip(pairwise(widths), dilations, strict=True):
        layers += [nn.Conv2d(inner, outer, 3, padding=dilation, dilation=dilation), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def chain_length(tensors: Tensors) -> int | None:
    """The number of convolutions in a state dict with the names of KAIR's ``model``; None for any other."""
    numbers = layer_numbers(tensors, r"model\.(\d+)\.(weight|bias)")
    return None if numbers is None else max(numbers) // 2 + 1


def chain_ends(tensors: Tensors, layers: int) -> tuple[int, int] | None:
    """The channels that the first of so many convolutions takes and that the last gives; None if that is not said."""
    first, last = tensors.get("model.0.weight"), tensors.get(f"model.{2 * (layers - 1)}.weight")
    if first is None or last is None or first.ndim < 2 or last.ndim < 1:
        return None
    return first.shape[1], last.shape[0]


def layer_numbers(tensors: Tensors, pattern: str) -> set[int] | None:
    """The numbers of layers in the names of a state dict.

    Args:
        tensors: the state dict.
        pattern: a regular expression of such names, whose first group is the number.

    Returns:
        The numbers; None if there are none, or if they are too large for numbers of layers.
    """
    matches = [re.fullmatch(pattern, name) for name in tensors]
    numbers = {int(match[1]) for match in matches if match is not None and len(match[1]) < 6}
    return numbers if numbers and max(numbers) <= 3 * len(tensors) else None
