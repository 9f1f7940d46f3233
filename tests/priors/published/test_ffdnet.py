"""FFDNet in both layouts against its definition, and in its published sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from idmcli.models.tensors import fill
from idmcli.priors.published.ffdnet import FFDNet, NormalisedFFDNet
from tests import foreign
from tests.small import random

SIGMA = 0.1


def image(channels: int) -> Tensor:
    return random(2, channels, 10, 8, dtype=torch.float32)


def level() -> Tensor:
    return torch.full((2, 1, 1, 1), SIGMA)


PUBLISHED: list[tuple[Callable[[], nn.Module], foreign.Shapes, int]] = [
    (lambda: FFDNet(1, 64, 15), foreign.kair_shapes(5, 4, 15), 485_316),
    (lambda: FFDNet(3, 96, 12), foreign.kair_shapes(13, 12, 12, 96), 852_108),
    (lambda: NormalisedFFDNet(1, 64, 15), foreign.ipol_shapes(1, 15, 64), 487_744),
    (lambda: NormalisedFFDNet(3, 96, 12), foreign.ipol_shapes(3, 12, 96), 856_608),
]


@pytest.mark.parametrize(("build", "shapes", "count"), PUBLISHED)
def test_names_and_numbers_of_the_published_networks(
    build: Callable[[], nn.Module], shapes: foreign.Shapes, count: int
) -> None:
    """The counts are those of published files, for all but the first."""
    with torch.device("meta"):
        own = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    own = {name: shape for name, shape in own.items() if not name.endswith("num_batches_tracked")}
    assert own == shapes and foreign.count(shapes) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_it_sees_the_corners_of_squares_and_then_the_level(channels: int) -> None:
    tensors, x = foreign.drawn(foreign.kair_shapes(4 * channels + 1, 4 * channels, 3, 6)), image(channels)
    network = fill(FFDNet(channels, 6, 3), tensors)
    seen = torch.cat([foreign.corners(x), torch.full((2, 1, 5, 4), SIGMA)], 1)
    expected = foreign.from_corners(foreign.kair(tensors, seen))
    torch.testing.assert_close(network(x, level()), expected)
    repeated = torch.cat([x[:, :, :9], x[:, :, 8:9]], 2)
    torch.testing.assert_close(network(x[:, :, :9], level()), network(repeated, level())[:, :, :9])


@pytest.mark.parametrize("channels", [1, 3])
def test_that_of_ipol_sees_levels_first_and_finds_the_noise(channels: int) -> None:
    tensors, x = foreign.drawn(foreign.ipol_shapes(channels, 4, 6)), image(channels)
    network = fill(NormalisedFFDNet(channels, 6, 4), tensors)
    torch.testing.assert_close(network(x, level()), foreign.ipol(tensors, x, SIGMA))
    repeated = torch.cat([x[..., :7], x[..., 6:7]], 3)
    torch.testing.assert_close(network(x[..., :7], level()), network(repeated, level())[..., :7])
