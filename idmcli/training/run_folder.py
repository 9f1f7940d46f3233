"""The folder of a training run: configuration, metrics, checkpoint, weights."""

from __future__ import annotations

import csv
import fcntl
import json
import os
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from pydantic import TypeAdapter
from torch import nn
from torch.optim import Optimizer

from idmcli.errors import InputError, ResourceError, out_of_memory
from idmcli.io.atomic import append_text, atomic_path, write_text
from idmcli.io.images import write_image
from idmcli.io.records import read_object
from idmcli.io.tables import csv_line
from idmcli.models.averages import CHECKPOINT, CONFIG, RECORD
from idmcli.models.tensors import unpickled
from idmcli.text import escape
from idmcli.training.progress import Progress
from idmcli.training.validation import Validation

if TYPE_CHECKING:
    from idmcli.training.loop import LogLine

MAX_SAMPLES = 20  # sheets of pictures; older ones are removed


@dataclass(frozen=True)
class RunFolder:
    """Paths and files of one run.

    ``config.toml`` is the merged configuration, ``run.json`` what else the run was started from, ``metrics.csv``
    one row per log line, ``samples/`` the last few validations as pictures, ``checkpoint.pt`` the whole training state
    (one file, replaced atomically), and ``weights.safetensors`` the averaged, self-describing result. ``.lock`` is
    there from the first moment on: where it is not, the folder has gone, and nothing is written.
    """

    path: Path

    @property
    def config(self) -> Path:
        return self.path / CONFIG

    @property
    def checkpoint(self) -> Path:
        return self.path / CHECKPOINT

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
        return self.path / RECORD

    @property
    def lock(self) -> Path:
        return self.path / ".lock"

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder for this process; the lock ends with it, however it ends.

        Files that a killed process left half saved are removed.

        Raises:
            InputError: another process trains in this folder, or its lock is no plain file.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
        except OSError as error:
            raise InputError(f"{str(self.lock)!r} cannot be used as a lock: {error.strerror}", "remove it") from error
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

    @contextmanager
    def there(self) -> Iterator[None]:
        """Write in this context. It raises ResourceError if the folder is no longer where it was, before or because it
        went meanwhile: what is written then would go elsewhere."""
        self._check_there()
        try:
            yield
        except ResourceError:
            self._check_there()
            raise

    def _check_there(self) -> None:
        if not self.lock.exists():
            raise ResourceError(
                f"the run folder {str(self.path)!r} is gone: it was moved, removed or unmounted",
                "bring it back, or name the place where it is now with --out, and use --resume",
            )

    def refuse_another(self) -> None:
        """Raise InputError if there is a run in the folder."""
        if self.checkpoint.exists() or self.weights.exists():
            raise InputError(
                f"{str(self.path)!r} holds a run already", "continue it with --resume, or choose another --out"
            )

    def save(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer], progress: Progress) -> None:
        """Replace the checkpoint.

        Raises:
            ResourceError: the folder has gone, or the disk is full.
        """
        state = {
            "iteration": progress.done,
            "progress": asdict(progress),
            "model": model.state_dict(),
            "average": average.state_dict(),
            "optimisers": [optimiser.state_dict() for optimiser in optimisers],
        }
        with self.there(), atomic_path(self.checkpoint) as path, path.open("wb") as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # what the system said, a full disk for example
                    raise error.__context__ from None
                raise

    def restore(self, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer]) -> Progress:
        """Load the training state into its owners; returns how far it is.

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
        """The record that :meth:`write_record` kept; nothing for a run that was started before there were records.

        Raises:
            InputError: it is damaged.
        """
        return read_object(self.record, "remove it to resume without it") if self.record.exists() else {}

    def log(self, line: LogLine) -> None:
        """Append one row to ``metrics.csv``, with a column for each group of gradients and each score of a validation.

        Raises:
            ResourceError: the folder has gone, or the disk is full.
            InputError: the file is damaged.
        """
        row = {
            "iteration": str(line.iteration),
            "loss": f"{line.loss:.6f}",
            "psnr": f"{line.psnr:.4f}",
            "images_per_second": f"{line.images_per_second:.2f}",
            "learning_rate": f"{line.learning_rate:.3e}",
            "waiting": f"{line.waiting:.4f}",
            "peak_memory_mib": f"{line.memory / 2**20:.0f}",
        }
        scores = line.validation.scores if line.validation else {}
        row |= {f"gradients_{name}": f"{value:.4g}" for name, value in line.gradients.items()}
        row |= {f"validation_{name}": f"{value:.4f}" for name, value in scores.items()}
        with self.there():
            before = self.rows()
            columns = list(dict.fromkeys([*(before[0] if before else ()), *row]))
            if not before or len(columns) > len(before[0]):
                self._write_rows(columns, [*before, row])
            else:
                append_text(self.metrics, csv_line(row.get(column, "") for column in columns))

    def rows(self) -> list[dict[str, str]]:
        """The rows of ``metrics.csv``, all with the same columns.

        Raises:
            InputError: it is damaged.
        """
        if not self.metrics.exists():
            return []
        try:
            with self.metrics.open(newline="", errors="replace") as file:
                reader = csv.DictReader(file, restval="")
                columns = reader.fieldnames or ()
                return [{column: row[column] for column in columns} for row in reader]
        except (csv.Error, OSError) as error:
            raise InputError(f"{str(self.metrics)!r} cannot be read: {error}", "move it away") from error

    def drop_metrics_after(self, iteration: int) -> None:
        """Drop the rows of iterations that will be done again, or of another run, and what is no row."""
        kept: list[dict[str, str]] = []
        last = 0
        for row in (rows := self.rows()):
            number = row.get("iteration", "")
            if number.isdecimal() and last < int(number) <= iteration:
                kept.append(row)
                last = int(number)
        if not kept:
            self.metrics.unlink(missing_ok=True)
        elif len(kept) < len(rows):
            self._write_rows(kept[0], kept)

    def _write_rows(self, columns: Iterable[str], rows: Iterable[Mapping[str, str]]) -> None:
        names = list(columns)
        lines = [names, *([row.get(name, "") for name in names] for row in rows)]
        write_text(self.metrics, "".join(map(csv_line, lines)))

    def write_sample(self, iteration: int, validation: Validation) -> None:
        """Add the pictures of a validation to ``samples/``, and remove the oldest where there are too many; errors as
        :meth:`save`."""
        with self.there():
            write_image(self.samples / f"{iteration:07}.png", validation.sheet())
        for old in sorted(self.samples.glob("*.png"))[:-MAX_SAMPLES]:
            old.unlink(missing_ok=True)


def _restore(state: Any, model: nn.Module, average: nn.Module, optimisers: Sequence[Optimizer]) -> Progress:
    for owner, saved in ((model, state["model"]), (average, state["average"])):
        if not isinstance(saved, Mapping):
            raise ValueError("it holds no state")
        wrong = [name for name, there in owner.state_dict().items() if saved[name].dtype != there.dtype]
        if wrong:
            raise ValueError(f"{wrong[0]} has another type")
        owner.load_state_dict(saved)
    for optimiser, saved in zip(optimisers, state["optimisers"], strict=True):
        optimiser.load_state_dict(deepcopy(saved))  # no views of a file
    return TypeAdapter(Progress).validate_python({**state.get("progress", {}), "done": state["iteration"]})
