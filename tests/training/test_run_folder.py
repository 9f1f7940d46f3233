"""The run folder: atomic checkpoints, a lock, metrics without duplicates, and damaged files."""

from __future__ import annotations

import csv
import pickle
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD

from idmcli.errors import InputError, ResourceError
from idmcli.io.images import read_image
from idmcli.training.loop import LogLine
from idmcli.training.progress import Progress
from idmcli.training.run_folder import MAX_SAMPLES, RunFolder
from idmcli.training.validation import Validation


def line(iteration: int, **validation: float) -> LogLine:
    found = Validation(validation, {"truth": torch.rand(6, 1, 8, 8)}) if validation else None
    return LogLine(iteration, 0.5, 20.0, 100.0, 1e-3, 0.25, 3 * 2**20, {"weights": 2.5, "couplings": 40.0}, found)


def parts(width: int = 3) -> tuple[nn.Linear, nn.Linear, list[SGD]]:
    model = nn.Linear(width, 2)
    return model, nn.Linear(width, 2), [SGD(model.parameters(), 0.1, momentum=0.9)]


def rows(run: RunFolder) -> list[str]:
    return run.metrics.read_text().splitlines()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[RunFolder]:
    """A folder that is held, as in training."""
    run = RunFolder(tmp_path)
    with run.locked():
        yield run


def test_a_checkpoint_holds_everything(run: RunFolder) -> None:
    model, average, optimisers = parts()
    model(torch.ones(1, 3)).sum().backward()
    optimisers[0].step()
    progress = Progress(12, [0.5], [20.0], {"weights": [2.5]}, 3.0, 1.0, 0.4, 0.1)
    run.save(model, average, optimisers, progress)
    other_model, other_average, other_optimisers = parts()
    assert run.restore(other_model, other_average, other_optimisers) == Progress(
        12, [0.5], [20.0], {"weights": [2.5]}, 3.0, 1.0, 0.4, 0.1
    )
    for name, tensor in model.state_dict().items():
        assert torch.equal(other_model.state_dict()[name], tensor)
    assert torch.equal(other_average.weight, average.weight)
    buffers = [optimiser[0].state_dict()["state"][0]["momentum_buffer"] for optimiser in (optimisers, other_optimisers)]
    assert torch.equal(*buffers)


def test_an_interrupted_save_leaves_the_old_checkpoint(run: RunFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    run.save(*parts(), Progress(3))
    before = run.checkpoint.read_bytes()

    def half(state: object, file: IO[bytes]) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr("torch.save", half)
    with pytest.raises(KeyboardInterrupt):
        run.save(*parts(), Progress(4))
    assert run.checkpoint.read_bytes() == before
    assert sorted(path.name for path in run.path.iterdir()) == [".lock", "checkpoint.pt"]


def test_a_full_disk_leaves_the_old_checkpoint(run: RunFolder) -> None:
    run.save(*parts(), Progress(3))
    before = run.checkpoint.read_bytes()
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limit[1]))  # Python ignores the signal that comes with it
    try:
        with pytest.raises(ResourceError, match="cannot write to the folder") as caught:
            run.save(*parts(100), Progress(4))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert caught.value.exit_code == 4
    assert run.checkpoint.read_bytes() == before
    assert sorted(path.name for path in run.path.iterdir()) == [".lock", "checkpoint.pt"]


def refused(run: RunFolder, width: int = 3) -> str:
    with pytest.raises(InputError) as caught:
        run.restore(*parts(width))
    assert "\n" not in caught.value.message and str(run.path) in caught.value.message
    return caught.value.message


def test_no_checkpoint(run: RunFolder) -> None:
    assert "no checkpoint to resume from" in refused(run)


def test_a_damaged_checkpoint(run: RunFolder) -> None:
    run.save(*parts(), Progress(1))
    whole = run.checkpoint.read_bytes()
    for content in (b"", b"text", whole[:100], whole[: len(whole) // 2], whole[:-10]):
        run.checkpoint.write_bytes(content)
        assert "damaged or does not fit" in refused(run)


def test_a_flipped_bit_in_a_checkpoint(run: RunFolder) -> None:
    model, average, optimisers = parts()
    run.save(model, average, optimisers, Progress(1))
    damaged = bytearray(run.checkpoint.read_bytes())
    damaged[damaged.index(model.weight.detach().numpy().tobytes()) + 3] ^= 0x40  # in an exponent
    run.checkpoint.write_bytes(damaged)
    assert "does not match its checksum" in refused(run)


@pytest.mark.parametrize("state", [7, [1], {}, {"model": 3}, torch.zeros(2)])
def test_a_checkpoint_of_something_else(run: RunFolder, state: object) -> None:
    torch.save(state, run.checkpoint)
    refused(run)


@pytest.mark.parametrize("kind", [torch.int64, torch.bool, torch.complex64, torch.float16])
def test_values_of_another_type_are_not_cast(run: RunFolder, kind: torch.dtype) -> None:
    run.save(*parts(), Progress(1))
    state = torch.load(run.checkpoint, weights_only=True)
    state["model"]["weight"] = state["model"]["weight"].to(kind)
    torch.save(state, run.checkpoint)
    assert "another type" in (error := refused(run)) or "complex" in error


def test_another_network_or_optimiser(run: RunFolder) -> None:
    run.save(*parts(), Progress(1))
    assert "size mismatch" in refused(run, width=4) or "Error(s) in loading" in refused(run, width=4)
    model, average, optimisers = parts()
    with pytest.raises(InputError):
        run.restore(model, average, [*optimisers, *optimisers])


def test_pickles_are_not_executed(run: RunFolder) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return Path.touch, (run.path / "executed",)

    run.checkpoint.write_bytes(pickle.dumps(Trap(), protocol=2))
    refused(run)
    torch.save({"model": Trap()}, run.checkpoint)
    refused(run)
    assert not (run.path / "executed").exists()


def test_metrics(run: RunFolder) -> None:
    """One number in each cell, and a column for each group of gradients and each score of a validation."""
    run.log(line(5))
    run.log(line(10, psnr_a=31.25, psnr_b=20.0))
    run.log(line(15))
    run.log(line(20, psnr_a=32.0, psnr_b=21.0))
    base = "0.500000,20.0000,100.00,1.000e-03,0.2500,3,2.5,40"
    assert rows(run) == [
        "iteration,loss,psnr,images_per_second,learning_rate,waiting,peak_memory_mib,"
        "gradients_weights,gradients_couplings,validation_psnr_a,validation_psnr_b",
        f"5,{base},,",
        f"10,{base},31.2500,20.0000",
        f"15,{base},,",
        f"20,{base},32.0000,21.0000",
    ]


def test_metrics_from_after_the_checkpoint_are_dropped(run: RunFolder) -> None:
    for iteration in (5, 10, 15, 100):
        run.log(line(iteration))
    with run.metrics.open("a") as file:
        file.write("1x0,torn")  # the power went
    run.drop_metrics_after(10)
    assert [row.split(",")[0] for row in rows(run)] == ["iteration", "5", "10"]
    run.log(line(15))
    with run.metrics.open("a") as file:
        file.write("1")  # of "100, ..."
    run.drop_metrics_after(15)
    assert [row.split(",")[0] for row in rows(run)] == ["iteration", "5", "10", "15"]
    run.drop_metrics_after(0)
    assert not run.metrics.exists()


def test_metrics_of_an_older_run_go_on(run: RunFolder) -> None:
    """Its rows lack the columns that came later, and keep one that is no longer written."""
    run.metrics.write_text(
        "iteration,loss,psnr,images_per_second,learning_rate,validation\r\n"
        "5,0.7,20.0,100.0,1e-03,psnr_a=31.2500\r\n10,0.6,21.0,100.0,1e-03,\r\n"
    )
    run.drop_metrics_after(5)
    run.log(line(10))
    with run.metrics.open(newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["loss"], first["waiting"], first["validation"]) == ("0.7", "", "psnr_a=31.2500")
    assert (second["loss"], second["waiting"], second["validation"]) == ("0.500000", "0.2500", "")


def test_a_folder_that_goes_while_it_is_written_to_is_said_to_be_gone(run: RunFolder, tmp_path: Path) -> None:
    moved = tmp_path.parent / f"{tmp_path.name}-moved"
    with pytest.raises(ResourceError, match="is gone: it was moved, removed or unmounted"), run.there():
        run.path.rename(moved)
        raise ResourceError("cannot write to the folder", "free some space")
    moved.rename(run.path)
    with pytest.raises(ResourceError, match="cannot write to the folder"), run.there():
        raise ResourceError("cannot write to the folder", "free some space")


def test_nothing_is_written_where_the_folder_has_gone(run: RunFolder, tmp_path: Path) -> None:
    """Moved away, it is not made again: the half of a run would be in each of two places."""
    run.save(*parts(), Progress(3))
    run.path.rename(moved := tmp_path.parent / f"{tmp_path.name}-moved")
    for write in (
        lambda: run.save(*parts(), Progress(4)),
        lambda: run.log(line(4)),
        lambda: run.write_sample(4, Validation({}, {"truth": torch.zeros(1, 1, 8, 8)})),
    ):
        with pytest.raises(ResourceError, match="is gone: it was moved, removed or unmounted"):
            write()
        assert not run.path.exists()
    again = RunFolder(moved)
    assert again.restore(*parts()) == Progress(3)
    moved.rename(run.path)
    run.log(line(4))


def test_a_finished_run_without_its_checkpoint_is_a_run(run: RunFolder) -> None:
    run.refuse_another()
    run.weights.touch()
    with pytest.raises(InputError, match="holds a run already"):
        run.refuse_another()


def test_sample_pictures_are_few_and_small(run: RunFolder) -> None:
    truth = torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(0))
    for iteration in range(1, MAX_SAMPLES + 4):
        run.write_sample(iteration, Validation({"psnr": 1.0}, {"truth": truth, "other": 1 - truth}))
    names = [path.name for path in sorted(run.samples.iterdir())]
    assert names == [f"{iteration:07}.png" for iteration in range(4, MAX_SAMPLES + 4)]
    sheet = read_image(run.samples / names[0]).pixels
    assert sheet.shape[0] < 4 * 16 + 60 and sheet.shape[2] == 3  # four of the six
    column = truth[:4].permute(0, 2, 3, 1).flatten(0, 1).numpy()
    found = [
        left for left in range(sheet.shape[1] - 15) if np.abs(sheet[-72:-8, left : left + 16] - column).max() < 0.01
    ]
    assert len(found) == 1


def test_one_process_at_a_time(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    with run.locked(), pytest.raises(InputError, match="another process is training"), run.locked():
        pass
    with run.locked():
        pass


def test_the_lock_ends_with_its_process(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    code = f"""
import os, signal
from pathlib import Path
from idmcli.training.run_folder import RunFolder
with RunFolder(Path({str(run.path)!r})).locked():
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    with run.locked():
        pass


def test_the_lock_is_a_file_of_its_own(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    precious, lock = tmp_path / "precious", run.path / ".lock"
    precious.write_text("text")
    lock.symlink_to(precious)
    with pytest.raises(InputError, match="cannot be used as a lock"), run.locked():
        pass
    assert precious.read_text() == "text"
    lock.unlink()
    lock.write_text("kept")
    with run.locked():
        assert lock.read_text() == "kept"


def test_what_a_killed_save_left_is_removed_by_the_next_run(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    code = f"""
import os, signal
from pathlib import Path
from idmcli.io.atomic import atomic_path
with atomic_path(Path({str(run.checkpoint)!r})) as path:
    path.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", code]).returncode == -9
    (leftover,) = run.path.iterdir()
    (run.path / "weights.safetensors").touch()
    with run.locked():
        assert not leftover.exists()
        with pytest.raises(InputError), run.locked():  # another process removes nothing
            pass
    assert sorted(path.name for path in run.path.iterdir()) == [".lock", "weights.safetensors"]


def test_the_record(run: RunFolder) -> None:
    assert run.read_record() == {}
    run.write_record({"init": "a.safetensors", "pictures": 3})
    assert run.read_record() == {"init": "a.safetensors", "pictures": 3}
    for text in ("[1]", "{", "\udcff"):
        run.record.write_text(text, errors="surrogateescape")
        with pytest.raises(InputError, match="run.json' is damaged"):
            run.read_record()
