"""Processes share the crops of an iteration: each is drawn once, whatever their number."""

from __future__ import annotations

import os

import pytest
import torch

from idmcli.distributed import Processes
from idmcli.errors import ConfigError, InputError

CPU = torch.device("cpu")


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_the_shares_of_all_are_the_batch(size: int) -> None:
    for iteration in (0, 7):
        for parts in (1, 2):
            worlds = [Processes(CPU, rank, size) for rank in range(size)]
            shares = [processes.crops(iteration, 12, part, parts) for processes in worlds for part in range(parts)]
            assert [number for share in shares for number in share] == list(range(12 * iteration, 12 * iteration + 12))


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(ConfigError, match="training.batch = 6 cannot be shared by 4 processes"):
        Processes(CPU, 0, 4).check_batch(6, 1)
    with pytest.raises(ConfigError, match="shared by 2 processes in 2 parts each") as caught:
        Processes(CPU, 0, 2).check_batch(6, 2)
    assert caught.value.hint == "make it a multiple of 4"
    Processes(CPU, 0, 2).check_batch(6, 3)


def test_the_environment_of_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    environment = {"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert Processes.of_environment(CPU, {}) == Processes(CPU)
    assert Processes.of_environment(CPU, environment) == Processes(CPU, 5, 8, 4)
    assert Processes.of_environment(torch.device("cuda:0"), environment) == Processes(torch.device("cuda:1"), 5, 8, 4)
    assert Processes.of_environment(torch.device("cuda:3"), {}) == Processes(
        torch.device("cuda:3")
    )  # as it was asked for
    assert [Processes(CPU, rank, 2).leads for rank in range(2)] == [True, False]
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(ConfigError, match="4 processes on this machine cannot have a GPU each, it has 2"):
        Processes.of_environment(torch.device("cuda:0"), environment)
    with pytest.raises(ConfigError, match="not all whole numbers"):
        Processes.of_environment(CPU, {"RANK": "first"})


def test_one_process_needs_no_other() -> None:
    processes = Processes(CPU)
    with processes.connected(), processes.failing_together():
        assert processes.gather("x") == ["x"] and processes.exchange([1.0, 2.0]) == [[1.0, 2.0]]
        processes.barrier()
    with pytest.raises(InputError, match="^bad$"), processes.failing_together():
        raise InputError("bad")


def test_other_processes_that_torchrun_did_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WORLD_SIZE", "2")
    processes = Processes.of_environment(CPU, os.environ)
    message = "WORLD_SIZE = 2 is set, but the rest of torchrun's environment is missing"
    with pytest.raises(ConfigError, match=message), processes.connected():
        pass
