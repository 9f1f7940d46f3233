"""DnCNN, IRCNN and FFDNet against their definitions, and in their published sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from idmcli.models.foreign.convolutional import IRCNN, DnCNN, FFDNet, NormalisedFFDNet
from idmcli.models.tensors import fill
from tests import foreign
from tests.small import random

Shapes = foreign.Shapes
SIGMA = 0.1


def image(channels: int, height: int = 10, width: int = 8, batch: int = 2) -> Tensor:
    return random(batch, channels, height, width, dtype=torch.float32)


def level(batch: int = 2) -> Tensor:
    return torch.full((batch, 1, 1, 1), SIGMA)


PUBLISHED: list[tuple[Callable[[], nn.Module], Shapes, int]] = [
    (lambda: DnCNN(1, 64, 17), foreign.kair_shapes(1, 1, 17), 555_137),
    (lambda: DnCNN(3, 64, 20), foreign.kair_shapes(3, 3, 20), 668_227),
    (lambda: FFDNet(1, 64, 15), foreign.kair_shapes(5, 4, 15), 485_316),
    (lambda: FFDNet(3, 96, 12), foreign.kair_shapes(13, 12, 12, 96), 852_108),
    (lambda: NormalisedFFDNet(1, 64, 15), foreign.ipol_shapes(1, 15, 64), 487_744),
    (lambda: NormalisedFFDNet(3, 96, 12), foreign.ipol_shapes(3, 12, 96), 856_608),
]


@pytest.mark.parametrize(("build", "shapes", "count"), PUBLISHED)
def test_names_and_numbers_of_the_published_networks(
    build: Callable[[], nn.Module], shapes: Shapes, count: int
) -> None:
    """The counts of FFDNet are those of published files, for all but the third."""
    with torch.device("meta"):
        own = {name: tuple(tensor.shape) for name, tensor in build().state_dict().items()}
    own = {name: shape for name, shape in own.items() if not name.endswith("num_batches_tracked")}
    assert own == shapes and foreign.count(shapes) == count


@pytest.mark.parametrize("channels", [1, 3])
def test_dncnn_subtracts_the_noise_it_finds(channels: int) -> None:
    tensors, x = foreign.drawn(foreign.kair_shapes(channels, channels, 4, 6)), image(channels)
    network = fill(DnCNN(channels, 6, 4), tensors)
    torch.testing.assert_close(network(x, level()), x - foreign.kair(tensors, x))


def test_ircnn_takes_the_network_for_the_next_higher_level() -> None:
    networks = [foreign.drawn(foreign.kair_shapes(1, 1, 7, 6), seed) for seed in range(25)]
    named = {f"networks.{n}.{name}": tensor for n, one in enumerate(networks) for name, tensor in one.items()}
    model, x = fill(IRCNN(1, 6), named), image(1, batch=6)
    levels = torch.tensor([0.5, 2, 2.1, 25, 50, 90]) / 255
    denoised = model(x, levels.view(-1, 1, 1, 1))
    for one, place in enumerate((0, 0, 1, 12, 24, 24)):  # 25 of 255 lies between 24 and 26
        noise = foreign.kair(networks[place], x[one : one + 1], (1, 2, 3, 4, 3, 2, 1))
        torch.testing.assert_close(denoised[one : one + 1], x[one : one + 1] - noise)


@pytest.mark.parametrize("channels", [1, 3])
def test_ffdnet_sees_the_corners_of_squares_and_then_the_level(channels: int) -> None:
    tensors, x = foreign.drawn(foreign.kair_shapes(4 * channels + 1, 4 * channels, 3, 6)), image(channels)
    network = fill(FFDNet(channels, 6, 3), tensors)
    seen = torch.cat([foreign.corners(x), torch.full((2, 1, 5, 4), SIGMA)], 1)
    expected = foreign.from_corners(foreign.kair(tensors, seen))
    torch.testing.assert_close(network(x, level()), expected)
    repeated = torch.cat([x[:, :, :9], x[:, :, 8:9]], 2)
    torch.testing.assert_close(network(x[:, :, :9], level()), network(repeated, level())[:, :, :9])


@pytest.mark.parametrize("channels", [1, 3])
def test_ffdnet_of_ipol_sees_levels_first_and_finds_the_noise(channels: int) -> None:
    tensors, x = foreign.drawn(foreign.ipol_shapes(channels, 4, 6)), image(channels)
    network = fill(NormalisedFFDNet(channels, 6, 4), tensors)
    torch.testing.assert_close(network(x, level()), foreign.ipol(tensors, x, SIGMA))
    repeated = torch.cat([x[..., :7], x[..., 6:7]], 3)
    torch.testing.assert_close(network(x[..., :7], level()), network(repeated, level())[..., :7])
