"""The network trained end to end as a solver."""

from __future__ import annotations

import torch

from idmcli.models import load_weights, shipped_weights
from idmcli.operators import CompressedSensing
from tests.small import camera, run


def test_it_is_the_network_without_a_gradient() -> None:
    network, operator = load_weights(shipped_weights("cs-tiny")), CompressedSensing((1, 32, 32), 0.3)
    y = operator.A(camera(32))
    found = run("idm", operator, y, network)
    assert not found.requires_grad
    torch.testing.assert_close(found, network(y, operator).detach())
