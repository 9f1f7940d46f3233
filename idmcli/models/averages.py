"""The averaged network in a run folder, of a finished run or of one that was stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.records import read_object
from idmcli.models.learned import Learned
from idmcli.models.tensors import check, fill, unpickled
from idmcli.plugins import MODELS
from idmcli.text import escape

CONFIG, CHECKPOINT, RECORD = "config.toml", "checkpoint.pt", "run.json"  # in a run folder


def is_run(path: Path) -> bool:
    """Whether a path is a run folder."""
    return (path / CONFIG).is_file()


def described(folder: Path) -> dict[str, Any]:
    """The entries of a run's record about its weights: their "kind", "config", "training" and "trained_for".

    Raises:
        InputError: the record is missing or damaged.
    """
    path = folder / RECORD
    found = read_object(path, "resume the run, which writes it").get("weights") if path.is_file() else None
    if not isinstance(found, dict) or not {"kind", "config", "training", "trained_for"} <= found.keys():
        raise InputError(
            f"the run folder {str(folder)!r} does not say what it trains",
            "continue it with `idm train --resume`, which writes that",
        )
    return found


def load_averaged(folder: Path) -> Learned:
    """The moving average of a run's weights as its last checkpoint holds it, in float32 and evaluation mode.

    Its ``trained_for`` and ``training_record`` are as in a weights file; the record also has the "iteration".

    Raises:
        InputError: there is no checkpoint, it is damaged, or it does not fit the run's record.
        NumericalError: a weight is not finite.
    """
    path = folder / CHECKPOINT
    if not path.is_file():
        raise InputError(f"there is no checkpoint in the run folder {str(folder)!r}", "train for longer")
    record = described(folder)
    with torch.device("meta"):
        model: Learned = MODELS.find(record["kind"]).restore(record["config"])
    tensors, iteration = _average_in(path)
    check(path, model.state_dict(), tensors)
    model.trained_for = record["trained_for"]
    model.training_record = record["training"] | {"iteration": iteration}
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
