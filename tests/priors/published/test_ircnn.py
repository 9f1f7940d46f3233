"""IRCNN against its definition."""

from __future__ import annotations

import torch

from idmcli.models.tensors import fill
from idmcli.priors.published.ircnn import IRCNN
from tests import foreign
from tests.small import random


def test_it_takes_the_network_for_the_next_higher_level() -> None:
    networks = [foreign.drawn(foreign.kair_shapes(1, 1, 7, 6), seed) for seed in range(25)]
    named = {f"networks.{n}.{name}": tensor for n, one in enumerate(networks) for name, tensor in one.items()}
    model, x = fill(IRCNN(1, 6), named), random(6, 1, 10, 8, dtype=torch.float32)
    levels = torch.tensor([0.5, 2, 2.1, 25, 50, 90]) / 255
    denoised = model(x, levels.view(-1, 1, 1, 1))
    for one, place in enumerate((0, 0, 1, 12, 24, 24)):  # 25 of 255 lies between 24 and 26
        noise = foreign.kair(networks[place], x[one : one + 1], (1, 2, 3, 4, 3, 2, 1))
        torch.testing.assert_close(denoised[one : one + 1], x[one : one + 1] - noise)
