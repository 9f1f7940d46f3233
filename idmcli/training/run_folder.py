"""The folder of a training run: configuration, metrics, checkpoint, weights."""

from __future__ import annotations

import csv
import fcntl
import io
import json
import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from idmcli.errors import InputError, out_of_memory
from idmcli.io.atomic import atomic_path, write_text
from idmcli.io.images import write_image
from idmcli.io.records import read_object
from idmcli.models.tensors import unpickled
from idmcli.text import escape
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.training.loop import LogLine

COLUMNS = (
    *("iteration", "loss", "psnr", "images_per_second", "learning_rate"),
    *("waiting", "peak_memory_mib", "gradients", "validation"),
)
MAX_SAMPLES = 20  # sheets of pictures; older ones are removed


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    ``config.toml`` is the merged configuration, ``run.json`` what else the run was started from, ``metrics.csv``
    one row per log line, ``samples/`` the last few validations as pictures, ``checkpoint.pt`` the whole training state
    (one file, replaced atomically), and ``weights.safetensors`` the averaged, self-describing result.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / "config.toml"

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def weights(self) -> Path:
        return self.path / "weights.safetensors"

    @property
    def metrics(self) -> Path:
        return self.path / "metrics.csv"

    @property
    def samples(self) -> Path:
        return self.path / "samples"

    @property
    def record(self) -> Path:
        return self.path / "run.json"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock ends with it, however it ends.

        What a process that was killed while it saved has left behind is removed.

        Raises:
            InputError: another process trains in this folder, or its lock is no plain file.
        """
        lock = self.path / ".lock"
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"{str(lock)!r} cannot be used as a lock: {error.strerror}", "remove it") from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is training in {str(self.path)!r}", "choose another --out") from None
            for leftover in self.path.glob(".idm-*.tmp"):
                leftover.unlink(missing_ok=True)
            yield
        finally:
            os.close(descriptor)

    def save(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer], iteration: int) -> None:
        state = {
            "iteration": iteration,
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        }
        with atomic_path(self.checkpoint) as path, path.open("wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # what the system said, a full disk for example
                    raise error.__context__ from None
                raise

    def restore(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer]) -> int:
        """Load the training state into its owners; returns the number of iterations done.

        Raises:
            InputError: there is no checkpoint, it is damaged, or it belongs to another network.
        """
        if not self.checkpoint.exists():
            raise InputError(f"there is no checkpoint to resume from in {str(self.path)!r}", "start without --resume")
        try:
            with warnings.catch_warnings(action="ignore"):  # about what only a damaged state holds
                return _restore(unpickled(self.checkpoint), model, average, optimisers)
        except Exception as error:  # a damaged state can make its owners raise anything
            if out_of_memory(error):
                raise
            reason = escape(str(error).partition("\n")[0]) or type(error).__name__
            raise InputError(
                f"{str(self.checkpoint)!r} is damaged or does not fit this run: {reason}",
                "resume with the configuration the run was started with",
            ) from error

    def write_record(self, record: Mapping[str, Any]) -> None:
        """Keep what a run was started from."""
        write_text(self.record, json.dumps(record, indent=1) + "\n")

    def read_record(self) -> dict[str, Any]:
        """What :meth:`write_record` kept; nothing for a run that was started before there were records.

        Raises:
            InputError: it is damaged.
        """
        return read_object(self.record, "remove it to resume without it") if self.record.exists() else {}

    def log(self, line: LogLine) -> None:
        """Append one row to ``metrics.csv``; its last two columns hold gradient norms and scores as ``name=value``."""
        new = not self.metrics.exists()
        scores = line.validation.scores.items() if line.validation else ()
        with self.metrics.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(COLUMNS)
            writer.writerow(
                [
                    line.iteration,
                    f"{line.loss:.6f}",
                    f"{line.psnr:.4f}",
                    f"{line.images_per_second:.2f}",
                    f"{line.learning_rate:.3e}",
                    f"{line.waiting:.4f}",
                    f"{line.memory / 2**20:.0f}",
                    " ".join(f"{name}={value:.4g}" for name, value in line.gradients.items()),
                    " ".join(f"{name}={value:.4f}" for name, value in scores),
                ]
            )

    def rows(self) -> list[dict[str, str]]:
        """Those of ``metrics.csv``.

        Raises:
            InputError: it is damaged.
        """
        if not self.metrics.exists():
            return []
        try:
            with self.metrics.open(newline="", errors="replace") as file:
                return list(csv.DictReader(file, restval=""))
        except (csv.Error, OSError) as error:
            raise InputError(f"{str(self.metrics)!r} cannot be read: {error}", "move it away") from error

    def drop_metrics_after(self, iteration: int) -> None:
        """Drop the rows of iterations that will be done again, or of another run; bring the columns up to date."""
        rows = self.rows()
        if not rows:
            return self.metrics.unlink(missing_ok=True)
        kept = [row for row in rows if row.get("iteration", "").isdecimal() and int(row["iteration"]) <= iteration]
        if not kept:
            return self.metrics.unlink()
        text = io.StringIO()
        writer = csv.DictWriter(text, COLUMNS, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(kept)
        write_text(self.metrics, text.getvalue())

    def write_sample(self, iteration: int, validation: Validation) -> None:
        """Add the pictures of a validation to ``samples/``, and remove the oldest where there are too many."""
        write_image(self.samples / f"{iteration:07}.png", validation.sheet())
        for old in sorted(self.samples.glob("*.png"))[:-MAX_SAMPLES]:
            old.unlink(missing_ok=True)


def _restore(state: Any, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer]) -> int:
    for owner, saved in ((model, state["model"]), (average, state["average"])):
        if not isinstance(saved, Mapping):
            raise ValueError("it holds no state")
        wrong = [name for name, there in owner.state_dict().items() if saved[name].dtype != there.dtype]
        if wrong:
            raise ValueError(f"{wrong[0]} has another type")
        owner.load_state_dict(saved)
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(deepcopy(saved))  # no views of a file
    return int(state["iteration"])
