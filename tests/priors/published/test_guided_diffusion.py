"""The U-Nets of guided diffusion as those of diffusers, and in their published sizes."""

from __future__ import annotations

import pytest
import torch
from diffusers import UNet2DModel

from idmcli.priors.published.guided_diffusion import published_names, tensor_for, unet_config
from tests import foreign
from tests.small import random

IMAGENET = foreign.adm_shapes(256, (1, 1, 2, 2, 4, 4), 2, (3, 4, 5))
FFHQ = foreign.adm_shapes(128, (1, 1, 2, 2, 4, 4), 1, (4,))


@pytest.mark.parametrize(("shapes", "count"), [(IMAGENET, 552_814_086), (FFHQ, 93_563_910)], ids=["imagenet", "ffhq"])
def test_names_and_numbers_of_the_published_networks(shapes: foreign.Shapes, count: int) -> None:
    with torch.device("meta"):
        tensors = {name: torch.empty(shape) for name, shape in shapes.items()}
        unet = UNet2DModel(**unet_config(tensors))
    names = published_names(unet)
    assert set(names.values()) == shapes.keys() and names.keys() == unet.state_dict().keys()
    for name, own in unet.state_dict().items():
        assert tensor_for(name, tensors[names[name]]).shape == own.shape, name
    assert sum(p.numel() for p in unet.parameters()) == foreign.count(shapes) == count


def test_they_compute_what_is_published() -> None:
    tensors = foreign.drawn(foreign.adm_shapes(64, (1, 2), 1, (1,)))  # two heads
    unet = UNet2DModel(**unet_config(tensors)).eval()
    unet.load_state_dict({ours: tensor_for(ours, tensors[theirs]) for ours, theirs in published_names(unet).items()})
    x, t = random(2, 3, 8, 12, dtype=torch.float32), torch.tensor([3, 500.5])
    with torch.no_grad():
        torch.testing.assert_close(unet(x, t).sample, foreign.adm(tensors, x, t), rtol=1e-4, atol=1e-4)
