"""The network trained end to end as a solver."""

from __future__ import annotations

import torch

from idmcli.metrics import psnr
from idmcli.models import load_weights, shipped_weights
from idmcli.operators import CompressedSensing, Inpainting, add_noise
from tests.small import camera, run

MASK = {"type": "random", "ratio": 0.5, "seed": 0}


def test_it_is_the_network_without_a_gradient() -> None:
    network, operator = load_weights(shipped_weights("cs-tiny")), CompressedSensing((1, 32, 32), 0.3)
    y = operator.A(camera(32))
    found = run("idm", operator, y, network)
    assert not found.requires_grad
    torch.testing.assert_close(found, network(y, operator).detach())


def test_it_is_told_of_noise() -> None:
    network, operator, x = load_weights(shipped_weights("inpainting-tiny")), Inpainting((1, 48, 48), MASK), camera(48)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("idm", operator, y, network, noise=noise), x) for noise in (0.1, 0.0))
    assert told > untold + 1
