"""Two processes that train together give what one does with the whole batch."""

from __future__ import annotations

import gc
import os
import socket
import subprocess
import sys
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli import learned
from idmcli.config import Config, TrainingConfig
from idmcli.distributed import Processes
from idmcli.errors import InputError, NumericalError, ReportedElsewhere
from idmcli.learned.idm import IDMSettings
from idmcli.learned.prior import PriorSettings
from idmcli.reversible.plan import named_plan
from idmcli.runs.build import build_stage
from idmcli.tasks.cs import CompressedSensingOptions
from idmcli.training import loop
from idmcli.training.loop import LogLine
from idmcli.training.progress import Progress
from idmcli.training.run_folder import RunFolder
from idmcli.training.step import Step

CPU = torch.device("cpu")
PRIOR = Config(
    model=PriorSettings(channels=(8, 16), blocks=(1, 1)),
    training=TrainingConfig(
        iterations=4, batch=4, patch=16, warmup=0, log_every=2, validate_every=4, checkpoint_every=2, gradient_clip=0
    ),
)
NOISY = CompressedSensingOptions(block=8, noise=0.01)
END = replace(PRIOR, operator=NOISY, model=IDMSettings(channels=(8, 16), blocks=(1, 1), steps=2))
CONFIGS = {
    "prior": PRIOR,
    "muon": replace(PRIOR, training=replace(PRIOR.training, optimizer="muon")),
    "in parts": replace(PRIOR, training=replace(PRIOR.training, accumulate=2)),
    "end to end": END,
    "matched": replace(END, model=replace(END.model, rule="matched")),
}


def parts_of(config: Config, plan: str, processes: Processes) -> tuple[Step, Any]:
    images = [np.random.default_rng(k).random((1, 24, 24), dtype=np.float32) for k in range(3)]
    step = Step(learned.build(config), config.training, processes.size)
    with torch.no_grad():
        generator = torch.Generator().manual_seed(1)
        for parameter in step.model.parameters():  # away from the zeros and ones of the start
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=generator))
    return step, build_stage(config, images, processes.device, named_plan(plan, getattr(config.model, "steps", 1)))


def gradients(config: Config, plan: str, processes: Processes) -> dict[str, Tensor]:
    """Of the first batch."""
    step, stage = parts_of(config, plan, processes)
    count = config.training.accumulate
    shares = [processes.crops(0, config.training.batch, part, count) for part in range(count)]
    step.gradients(stage.loss, ((0, share, stage.draw(share)) for share in shares), count)
    return {name: p.grad.clone() for name, p in step.model.named_parameters() if p.grad is not None}


def trained(config: Config, plan: str, processes: Processes, folder: Path) -> dict[str, Tensor]:
    """How far the weights have moved after some iterations, in a new run folder."""
    step, stage = parts_of(config, plan, processes)
    start = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    lines: list[LogLine] = []
    run = RunFolder(folder)
    with run.locked() if processes.leads else nullcontext():
        loop.train(step, stage, run, processes, lines.append, Progress())
    assert bool(lines) == processes.leads
    return {name: tensor - start[name] for name, tensor in step.model.state_dict().items()}


def cases(processes: Processes, folder: Path) -> dict[str, dict[str, Tensor]]:
    """Everything that both sides compute."""
    plans = {"prior": "unet", "muon": "plain", "in parts": "plain", "end to end": "unet", "matched": "both"}
    found = {f"{name}, gradients": gradients(CONFIGS[name], plan, processes) for name, plan in plans.items()}
    for name in ("prior", "muon", "end to end"):
        found[f"{name}, weights"] = trained(CONFIGS[name], plans[name], processes, folder / name)
    return found


class Failing:
    """A stage whose loss is not finite in one process alone."""

    def __init__(self, processes: Processes) -> None:
        self.processes = processes

    def draw(self, numbers: Any) -> None:
        return None

    def loss(self, model: Any, iteration: int, numbers: Any, drawn: Any) -> tuple[Tensor, float]:
        loss = model(torch.ones(1, 4)).square().mean()
        return (loss * float("nan") if self.processes.rank == 1 else loss), 0.0


def one_of_two(folder: Path) -> None:
    """What each of the two processes does."""
    processes = Processes.of_environment(CPU, os.environ)
    with processes.connected():
        assert processes.gather(processes.rank) == [0, 1] and processes.exchange([processes.rank, 7.0]) == [
            [0, 7],
            [1, 7],
        ]
        found = cases(processes, folder)
        theirs = processes.gather(found)[1]
        for name, tensors in found.items():  # both processes hold the same, to the last bit
            assert all(torch.equal(tensor, theirs[name][key]) for key, tensor in tensors.items()), name
        if processes.leads:
            torch.save(found, folder / "found.pt")

        with pytest.raises(InputError if processes.leads else ReportedElsewhere) as told, processes.failing_together():
            if processes.rank == 1:
                raise InputError("no such picture", "look for it")
        if processes.leads:
            assert (told.value.message, told.value.hint) == ("process 1: no such picture", "look for it")
        assert told.value.exit_code == 2

        torch.manual_seed(0)
        step = Step(torch.nn.Linear(4, 4), replace(PRIOR.training, iterations=50, validate_every=50), processes.size)
        before = step.model.weight.detach().clone()  # type: ignore[union-attr]
        with pytest.raises(NumericalError if processes.leads else ReportedElsewhere):
            loop.train(step, Failing(processes), RunFolder(folder), processes, print, Progress())  # type: ignore[arg-type]
        assert torch.equal(step.model.weight, before)  # type: ignore[arg-type]


def nothing_is_left_of_gloo() -> None:
    """A thread of it that is still busy when Python ends would abort the process."""
    gc.collect()  # what raised here held on to the models
    threads = [file.read_text() for file in Path("/proc/self/task").glob("*/comm")]
    assert not [name for name in threads if "gloo" in name]


def test_two_processes_train_as_one_does(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "of_two.py").write_bytes(Path(__file__).read_bytes())
    shared = os.environ | {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    shared |= {"PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ['PYTHONPATH']}", "OMP_NUM_THREADS": "1"}
    code = f"from pathlib import Path; from of_two import *; one_of_two(Path({str(tmp_path / 'two')!r}))"
    code += "; nothing_is_left_of_gloo()"
    (tmp_path / "two").mkdir()
    processes = [
        subprocess.Popen([sys.executable, "-c", code], env=shared | {"RANK": str(rank), "LOCAL_RANK": str(rank)})
        for rank in (0, 1)
    ]
    expected = cases(Processes(CPU), tmp_path / "one")
    assert [process.wait(100) for process in processes] == [0, 0]
    found = torch.load(tmp_path / "two/found.pt", weights_only=True)
    assert expected.keys() == found.keys()
    for name, tensors in expected.items():
        assert tensors.keys() == found[name].keys() and len(tensors) > 10
        whole, shared = (torch.cat([given[key].flatten() for key in tensors]) for given in (tensors, found[name]))
        assert (shared - whole).norm() < 1e-3 * whole.norm(), name
    for run in ("prior", "muon", "end to end"):
        one, two = (RunFolder(tmp_path / number / run) for number in ("one", "two"))
        rows = [folder.metrics.read_text().splitlines() for folder in (one, two)]
        assert len(rows[0]) == len(rows[1]) == 3
        for first, second in zip(rows[0][1:], rows[1][1:], strict=True):
            loss, psnr = ([float(row.split(",")[column]) for row in (first, second)] for column in (1, 2))
            assert loss[0] == pytest.approx(loss[1], rel=1e-4) and psnr[0] == pytest.approx(psnr[1], abs=1e-2)
