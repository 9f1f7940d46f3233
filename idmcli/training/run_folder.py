"""The folder of a training run: configuration, metrics, checkpoint, weights."""

from __future__ import annotations

import csv
import fcntl
import pickle
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.optim import Optimizer

from idmcli.errors import InputError
from idmcli.io.atomic import atomic_path

if TYPE_CHECKING:
    from idmcli.training.loop import Progress

COLUMNS = ("iteration", "loss", "psnr", "images_per_second", "learning_rate")


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    ``config.toml`` is the merged configuration, ``metrics.csv`` one row per log line,
    ``checkpoint.pt`` the whole training state (one file, replaced atomically), and
    ``weights.safetensors`` the averaged, self-describing result.
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

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock ends with it, however it ends.

        Raises:
            InputError: another process trains in this folder.
        """
        with (self.path / ".lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise InputError(f"another process is training in {self.path}", "choose another --out") from None
            yield

    def save(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer], iteration: int) -> None:
        state = {
            "iteration": iteration,
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        }
        with atomic_path(self.checkpoint) as path:
            torch.save(state, path)

    def restore(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer]) -> int:
        """Load the training state into its owners; returns the number of iterations done.

        Metrics rows from after the checkpoint (a run that was killed) are dropped.

        Raises:
            InputError: there is no checkpoint, it is damaged, or it belongs to another network.
        """
        if not self.checkpoint.exists():
            raise InputError(f"no checkpoint to resume from in {self.path}", "start without --resume")
        try:
            state: dict[str, Any] = torch.load(self.checkpoint, map_location="cpu", weights_only=True)
            model.load_state_dict(state["model"])
            average.load_state_dict(state["average"])
            for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(saved)
            iteration = int(state["iteration"])
        except (RuntimeError, LookupError, TypeError, ValueError, EOFError, OSError, pickle.UnpicklingError) as error:
            reason = str(error).partition("\n")[0] or type(error).__name__
            raise InputError(
                f"{self.checkpoint} is damaged or does not fit this run: {reason}",
                "resume with the configuration the run was started with",
            ) from error
        self._drop_metrics_after(iteration)
        return iteration

    def log(self, line: Progress) -> None:
        """Append one row to ``metrics.csv``; validation scores go into a JSON-like last column."""
        new = not self.metrics.exists()
        with self.metrics.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow([*COLUMNS, "validation"])
            validation = " ".join(f"{name}={value:.4f}" for name, value in line.validation.items())
            writer.writerow(
                [
                    line.iteration,
                    f"{line.loss:.6f}",
                    f"{line.psnr:.4f}",
                    f"{line.images_per_second:.2f}",
                    f"{line.learning_rate:.3e}",
                    validation,
                ]
            )

    def _drop_metrics_after(self, iteration: int) -> None:
        if not self.metrics.exists():
            return
        rows = self.metrics.read_text().splitlines()
        numbers = (row.partition(",")[0] for row in rows[1:])
        kept = [
            row
            for row, number in zip(rows[1:], numbers, strict=True)
            if number.isdecimal() and int(number) <= iteration
        ]
        with atomic_path(self.metrics) as path:
            path.write_text("\n".join([*rows[:1], *kept]) + "\n")
