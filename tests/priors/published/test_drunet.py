"""DRUNet against its definition, and in its published sizes."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import pad

from idmcli.models.tensors import fill
from idmcli.priors.published.drunet import DRUNet
from tests import foreign
from tests.small import random


@pytest.mark.parametrize(("channels", "count"), [(1, 32_638_656), (3, 32_640_960)])
def test_names_and_numbers_of_the_published_networks(channels: int, count: int) -> None:
    with torch.device("meta"):
        network = DRUNet(channels, (64, 128, 256, 512), 4)
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    assert own == foreign.drunet_shapes(channels) and foreign.count(own) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_it_computes_what_is_published_for_any_size(channels: int) -> None:
    tensors = foreign.drawn(foreign.drunet_shapes(channels, (4, 6, 8, 10), 2))
    network = fill(DRUNet(channels, (4, 6, 8, 10), 2), tensors)
    x = random(2, channels, 13, 16, dtype=torch.float32)
    expected = foreign.drunet(tensors, pad(x, (0, 0, 0, 3), mode="replicate"), 0.2)
    torch.testing.assert_close(network(x, torch.full((2, 1, 1, 1), 0.2)), expected[:, :, :13])
