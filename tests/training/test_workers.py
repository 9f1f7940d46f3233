"""Workers: order, errors as they were raised, and ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
import torch

from idmcli.errors import InputError, ResourceError
from idmcli.training.workers import default_workers, in_workers


def square(number: int) -> tuple[int, torch.Tensor]:
    if number == 7:
        raise InputError("'seven.png' is damaged", "repair it")
    if number == 9:
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid(), torch.full((2,), number**2)


@pytest.mark.parametrize("workers", [0, 2])
def test_results_come_in_order_from_so_many_processes(workers: int) -> None:
    found = list(in_workers(square, [3, 1, 2, 6, 5, 4], workers))
    assert [int(tensor[0]) for _, tensor in found] == [9, 1, 4, 36, 25, 16]
    pids = {pid for pid, _ in found}
    assert len(pids) == max(1, workers) and (os.getpid() in pids) == (workers == 0)


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_is_raised_as_it_was(workers: int) -> None:
    results = in_workers(square, [1, 7, 2], workers)
    next(results)
    with pytest.raises(InputError) as caught:
        next(results)
    assert (caught.value.message, caught.value.hint) == ("'seven.png' is damaged", "repair it")


def test_a_killed_worker_is_an_error_with_a_reason() -> None:
    with pytest.raises(ResourceError, match="a process that prepares data was killed"):
        list(in_workers(square, [1, 9, 2], 1))


def test_workers_leave_signals_to_the_training_and_end_with_the_iterator() -> None:
    with closing(in_workers(square, range(10, 10_000), 2)) as results:
        pids = [next(results)[0] for _ in range(2)]
        for pid in pids:
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                os.kill(pid, number)
        assert {next(results)[0] for _ in range(20)} == set(pids)
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_workers_never_outlive_a_killed_process() -> None:
    """They would hold the lock of its run folder."""
    code = """
import os, signal
from idmcli.training.workers import in_workers
for pid in in_workers(lambda number: os.getpid(), range(100), 1):
    print(pid, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == -9
    for _ in range(100):
        if not Path(f"/proc/{done.stdout.strip()}").exists():
            return
        time.sleep(0.05)
    raise AssertionError("the worker is still there")


def test_each_process_of_a_machine_has_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    assert [default_workers(processes) for processes in (1, 2, 4, 16)] == [4, 4, 2, 1]
