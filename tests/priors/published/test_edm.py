"""EDM's networks against their definitions."""

from __future__ import annotations

import pytest
import torch

from idmcli.models.tensors import fill
from idmcli.priors.published.edm import EDM
from tests import foreign
from tests.small import random

SMALL = {"ddpmpp": (8, (1, 2)), "ncsnpp": (8, (1, 2, 2)), "adm": (64, (1, 2))}


def small(kind: str) -> foreign.Tensors:
    width, scales = SMALL[kind]
    return foreign.drawn(foreign.edm_shapes(kind, 16, width, scales, 1, (8,)))


@pytest.mark.parametrize(("kind", "count"), [("ddpmpp", 61_805_619), ("ncsnpp", 62_761_459)])
def test_names_of_the_published_networks(kind: str, count: int) -> None:
    """Of FFHQ at 64x64; the counts are with the filters and the frequencies."""
    shapes = foreign.edm_shapes(kind, 64, 128, (1, 2, 2, 2), 4, (16,))
    with torch.device("meta"):
        network = EDM({name: torch.empty(shape) for name, shape in shapes.items()})
    assert {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()} == shapes
    assert foreign.count(shapes) == count


@pytest.mark.parametrize("kind", SMALL)
def test_they_compute_what_is_published(kind: str) -> None:
    tensors = small(kind)
    network = fill(EDM(tensors), tensors)
    x, level = random(2, 3, 16, 8, dtype=torch.float32), torch.tensor([-0.3, 0.2])
    torch.testing.assert_close(network.estimate(x, level), foreign.edm(tensors, x, level), rtol=1e-4, atol=1e-4)


def test_the_preconditioning_in_the_units_of_0_1() -> None:
    """D(r; s) of r and s for images in [-1, 1] with noise of 2 sigma (Karras et al., Table 1)."""
    tensors = small("ddpmpp")
    network = fill(EDM(tensors), tensors)
    x, sigma = random(1, 3, 16, 16, dtype=torch.float32), 0.3
    r, s = 2 * x - 1, 0.6
    skip, out, scale = 0.25 / (s**2 + 0.25), s * 0.5 / (s**2 + 0.25) ** 0.5, 1 / (s**2 + 0.25) ** 0.5
    expected = skip * r + out * foreign.edm(tensors, scale * r, torch.tensor([s]).log() / 4)
    found = network(x, torch.full((1, 1, 1, 1), sigma))
    torch.testing.assert_close(2 * found - 1, expected, rtol=1e-4, atol=1e-4)
    assert network(x[..., :13], torch.zeros(1, 1, 1, 1)).isfinite().all()  # another size, and no noise at all
