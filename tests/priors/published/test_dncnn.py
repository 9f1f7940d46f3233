"""DnCNN against its definition, and in its published sizes."""

from __future__ import annotations

import pytest
import torch

from idmcli.models.tensors import fill
from idmcli.priors.published.dncnn import DnCNN
from tests import foreign
from tests.small import random


@pytest.mark.parametrize(("channels", "layers", "count"), [(1, 17, 555_137), (3, 20, 668_227)])
def test_names_and_numbers_of_the_published_networks(channels: int, layers: int, count: int) -> None:
    with torch.device("meta"):
        own = {name: tuple(tensor.shape) for name, tensor in DnCNN(channels, 64, layers).state_dict().items()}
    assert own == foreign.kair_shapes(channels, channels, layers) and foreign.count(own) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_it_subtracts_the_noise_it_finds(channels: int) -> None:
    tensors = foreign.drawn(foreign.kair_shapes(channels, channels, 4, 6))
    x = random(2, channels, 10, 8, dtype=torch.float32)
    network = fill(DnCNN(channels, 6, 4), tensors)
    torch.testing.assert_close(network(x, torch.full((2, 1, 1, 1), 0.1)), x - foreign.kair(tensors, x))
