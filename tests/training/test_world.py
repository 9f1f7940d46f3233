"""Processes share the crops of an iteration: each is drawn once, whatever their number."""

from __future__ import annotations

import pytest
import torch

from idmcli.errors import ConfigError
from idmcli.training.world import World

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_shares_of_all_are_the_batch(size: int) -> None:
    for iteration in (0, 7):
        shares = [World(CPU, rank, size).share(iteration, 6) for rank in range(size)]
        assert [number for share in shares for number in share] == list(range(6 * iteration, 6 * iteration + 6))


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match="training.batch = 6 cannot be shared by 4 processes"):
        World(CPU, 0, 4).share(0, 6)


def test_the_environment_of_torchrun() -> None:
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}
    assert World.of_environment(CPU, {}) == World(CPU)
    assert World.of_environment(CPU, environment) == World(CPU, 5, 8)
    assert World.of_environment(torch.device("cuda:0"), environment) == World(torch.device("cuda:1"), 5, 8)
    assert World.of_environment(torch.device("cuda:3"), {}) == World(torch.device("cuda:3"))  # as it was asked for
    assert [World(CPU, rank, 2).writes for rank in range(2)] == [True, False]
