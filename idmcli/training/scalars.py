"""The log of a run for TensorBoard, where that is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from idmcli.training.loop import LogLine

FIELDS = ("loss", "psnr", "images_per_second", "learning_rate", "waiting", "memory")


@contextmanager
def scalar_log(folder: Path, done: int) -> Iterator[Callable[[LogLine], None] | None]:
    """Give what writes log lines into ``folder`` as TensorBoard's scalars; None where TensorBoard is not installed.

    Entries there about iterations after ``done`` no longer count.
    """
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        yield None
        return

    def write(line: LogLine) -> None:
        for name in FIELDS:
            writer.add_scalar(f"training/{name}", getattr(line, name), line.iteration)
        for name, value in line.gradients.items():
            writer.add_scalar(f"gradients/{name}", value, line.iteration)
        for name, value in line.validation.scores.items() if line.validation else ():
            writer.add_scalar(f"validation/{name}", value, line.iteration)
        writer.flush()

    with SummaryWriter(str(folder), purge_step=done + 1) as writer:
        yield write
