"""Processes share the crops of an iteration: each is drawn once, whatever their number."""

from __future__ import annotations

import os

import pytest
import torch

from idmcli.errors import ConfigError, InputError
from idmcli.training.world import World

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_shares_of_all_are_the_batch(size: int) -> None:
    for iteration in (0, 7):
        for parts in (1, 2):
            worlds = [World(CPU, rank, size) for rank in range(size)]
            shares = [world.share(iteration, 12, part, parts) for world in worlds for part in range(parts)]
            assert [number for share in shares for number in share] == list(range(12 * iteration, 12 * iteration + 12))


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match="training.batch = 6 cannot be shared by 4 processes"):
        World(CPU, 0, 4).check(6, 1)
    with pytest.raises(ConfigError, match="shared by 2 processes in 2 parts each") as caught:
        World(CPU, 0, 2).check(6, 2)
    assert caught.value.hint == "make it a multiple of 4"
    World(CPU, 0, 2).check(6, 3)


def test_the_environment_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert World.of_environment(CPU, {}) == World(CPU)
    assert World.of_environment(CPU, environment) == World(CPU, 5, 8, 4)
    assert World.of_environment(torch.device("cuda:0"), environment) == World(torch.device("cuda:1"), 5, 8, 4)
    assert World.of_environment(torch.device("cuda:3"), {}) == World(torch.device("cuda:3"))  # as it was asked for
    assert [World(CPU, rank, 2).writes for rank in range(2)] == [True, False]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 processes on this machine cannot have a GPU each, it has 2"):
        World.of_environment(torch.device("cuda:0"), environment)
    with pytest.raises(ConfigError, match="not all whole numbers"):
        World.of_environment(CPU, {"RANK": "first"})


def test_one_process_needs_no_other() -> None:
    world = World(CPU)
    with world.joined(), world.agreed():
        assert world.gathered("x") == ["x"] and world.rows([1.0, 2.0]) == [[1.0, 2.0]]
        world.wait()
    with pytest.raises(InputError, match="^bad$"), world.agreed():
        raise InputError("bad")


def test_other_processes_that_torchrun_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    world = World.of_environment(CPU, os.environ)
    message = "WORLD_SIZE = 2 is set, but the rest of torchrun's environment is missing"
    with pytest.raises(ConfigError, match=message), world.joined():
        pass
