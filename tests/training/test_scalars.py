"""TensorBoard gets the log where it is installed, and is not missed where it is not."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any, Self

import pytest

from idmcli.training.loop import LogLine
from idmcli.training.scalars import scalar_log
from idmcli.training.validation import Validation

LINE = LogLine(7, 0.5, 20.0, 100.0, 1e-3, 0.25, 2**20, {"weights": 2.0}, Validation({"psnr_a": 31.5}))


class Writer:
    """What torch.utils.tensorboard would write."""

    made: list[Self] = []

    def __init__(self, folder: str, purge_step: int) -> None:
        self.folder, self.purge_step, self.open = folder, purge_step, True
        self.written: dict[tuple[str, int], float] = {}
        self.made.append(self)

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.written[name, step] = value

    def flush(self) -> None:
        assert self.open

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: Any) -> None:
        self.open = False


def test_scalars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("torch.utils.tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with scalar_log(tmp_path / "tensorboard", 5) as write:
        assert write is not None
        write(LINE)
    (writer,) = Writer.made
    assert (writer.folder, writer.purge_step, writer.open) == (str(tmp_path / "tensorboard"), 6, False)
    assert writer.written[("validation/psnr_a", 7)] == 31.5 and writer.written[("training/loss", 7)] == 0.5
    assert writer.written[("gradients/weights", 7)] == 2.0 and len(writer.written) == 8


def test_without_tensorboard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with scalar_log(tmp_path / "tensorboard", 0) as write:
        assert write is None
    assert list(tmp_path.iterdir()) == []
