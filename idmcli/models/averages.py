"""The averaged network in a run folder, of a finished run or of one that was stopped."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idmcli.config import Config, load_config
from idmcli.errors import InputError
from idmcli.io.records import read_object
from idmcli.models.learned import Learned, purpose_of
from idmcli.models.tensors import check, fill, unpickled
from idmcli.plugins import MODELS
from idmcli.text import escape

CONFIG, CHECKPOINT, RECORD = "config.toml", "checkpoint.pt", "run.json"  # in a run folder


def is_run(path: Path) -> bool:
    """Whether a path is that of a run folder."""
    return (path / CONFIG).is_file()


def config_of(folder: Path) -> Config:
    """The configuration of a run; ConfigError if its file is damaged."""
    return load_config(None, folder / CONFIG).config


def training_record(config: Config, record: Mapping[str, Any]) -> dict[str, Any]:
    """How a network was trained, JSON-able: the configuration, and what it started from, by the run's record."""
    return {"config": asdict(config), "init": record.get("init"), "pictures": record.get("pictures")}


def load_averaged(folder: Path) -> Learned:
    """The moving average of a run's weights as its last checkpoint holds it, in float32 and evaluation mode.

    Its ``trained_for`` and ``training_record`` are as in a weights file; the record also has the "iteration".

    Raises:
        InputError: there is no checkpoint, it is damaged, or it does not fit the run's configuration.
        NumericalError: a weight is not finite.
    """
    path, config = folder / CHECKPOINT, config_of(folder)
    if not path.is_file():
        raise InputError(f"there is no checkpoint in the run folder {str(folder)!r}", "train for longer")
    with torch.device("meta"):
        model: Learned = MODELS.find(config.model.kind).build(config)
    tensors, iteration = _average_in(path)
    check(path, model.state_dict(), tensors)
    record = read_object(folder / RECORD, "remove it") if (folder / RECORD).exists() else {}
    model.trained_for = purpose_of(asdict(config))
    model.training_record = training_record(config, record) | {"iteration": iteration}
    return fill(model, tensors)


def _average_in(checkpoint: Path) -> tuple[dict[str, Tensor], int]:
    """The averaged tensors, and after which iteration."""
    try:
        state = unpickled(checkpoint)
        named = {str(name): tensor for name, tensor in state["average"].items()}
        tensors = {name.removeprefix("module."): t for name, t in named.items() if name.startswith("module.")}
        if not all(isinstance(tensor, Tensor) for tensor in tensors.values()):
            raise ValueError("it holds more than tensors")
        return tensors, int(state["iteration"])
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        reason = escape(str(error)) if isinstance(error, ValueError) else "it is no checkpoint"
        raise InputError(f"{str(checkpoint)!r} is damaged: {reason}", "train again") from error
