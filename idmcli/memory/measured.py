"""The memory and time of one training step, measured in a process of its own.

A fresh process has an allocator that nothing else has filled. ``python -m idmcli.memory.measured`` is
that process: it reads a pickled (configuration, plan, device) and writes a line of JSON.
"""

from __future__ import annotations

import json
import pickle
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import torch

from idmcli import learned
from idmcli.memory.step import any_loss, operator_of
from idmcli.models import Network
from idmcli.reversible.plan import Plan
from idmcli.training.step import Step

if TYPE_CHECKING:
    from idmcli.config import Config

ROUNDS = 5


@dataclass(frozen=True)
class Measured:
    """One training step as it was.

    Attributes:
        allocated, reserved: bytes that PyTorch's CUDA allocator gave out and held at the peak; None on a CPU.
        milliseconds: median time of a step.
    """

    allocated: int | None
    reserved: int | None
    milliseconds: float


def measure_apart(config: Config, plan: Plan | None, device: torch.device) -> Measured | None:
    """:func:`measure` in a fresh process; None if the device has not enough memory.

    Raises:
        RuntimeError: the process failed otherwise.
    """
    process = subprocess.run(
        [sys.executable, "-m", "idmcli.memory.measured"],
        input=pickle.dumps((config, plan, device)),
        capture_output=True,
    )
    if process.returncode:
        last = process.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise RuntimeError(f"the measuring process failed: {' '.join(last)}")
    found = json.loads(process.stdout.splitlines()[-1])
    return None if found is None else Measured(**found)


def measure(config: Config, plan: Plan | None, device: torch.device) -> Measured:
    """A training step with its optimiser state in place: two steps to warm up, then the median of five.

    Raises:
        OutOfMemoryError: of PyTorch.
    """
    model = learned.build(config).to(device)
    assert isinstance(model, Network)
    operator, step = operator_of(config), Step(model, config.training)
    operator = operator and operator.to(device)

    def run() -> None:
        loss, _ = step.forward(any_loss, config, operator, plan, config.training.crops_at_once())
        loss.backward()  # type: ignore[no-untyped-call]
        step.update(loss.detach())

    for _ in range(2):
        run()
    cuda = device.type == "cuda"
    if cuda:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    clock = _cuda_milliseconds if cuda else _milliseconds
    median = statistics.median(clock(run) for _ in range(ROUNDS))
    return Measured(
        allocated=torch.cuda.max_memory_allocated(device) if cuda else None,
        reserved=torch.cuda.max_memory_reserved(device) if cuda else None,
        milliseconds=median,
    )


def _milliseconds(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return 1000 * (time.perf_counter() - start)


def _cuda_milliseconds(run: Callable[[], None]) -> float:
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    start.record()
    run()
    end.record()
    torch.cuda.synchronize()
    return float(start.elapsed_time(end))


def main() -> None:
    config, plan, device = pickle.load(sys.stdin.buffer)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    try:
        found = asdict(measure(config, plan, device))
    except torch.OutOfMemoryError:
        found = None
    print(json.dumps(found))


if __name__ == "__main__":
    main()
