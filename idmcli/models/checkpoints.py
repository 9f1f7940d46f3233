"""Weights files: safetensors that describe themselves."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.tensor_file import Content, FileKind, check_schema, peek, read, write
from idmcli.models.architectures import updated
from idmcli.models.averages import described, is_run, load_averaged
from idmcli.models.learned import Learned, purpose_of
from idmcli.models.released import load_released, released_for
from idmcli.models.sampler import renamed
from idmcli.models.tensors import PICKLES, check, fill
from idmcli.plugins import MODELS

RULES = {"learned": "paper", "measured": "matched"}  # their names in files of the first schema


def kind_in(path: Path) -> str:
    """The kind that a weights file of idm holds, or that a run trains: a name in :data:`idmcli.plugins.MODELS`; empty
    for anything else."""
    try:
        if is_run(path):
            return str(described(path)["kind"])
        return str(peek(path, KIND).get("kind", ""))
    except InputError:
        return ""


def shipped_weights(name: str) -> Path:
    """The path of weights that come with idm, such as "prior-grey"; :func:`shipped_names` lists them."""
    return Path(str(files("idmcli") / "weights" / f"{name}.safetensors"))


def shipped_names() -> list[str]:
    """The names of all weights that come with idm."""
    return sorted(path.stem for path in shipped_weights("any").parent.glob("*.safetensors"))


def save_weights(
    path: Path,
    model: Learned,
    *,
    training: Mapping[str, Any],
    trained_for: Mapping[str, Any] | None = None,
    half: bool = False,
    replace: bool = True,
) -> None:
    """Write a model with its configuration, atomically; equal models give equal bytes.

    Args:
        path: ``.safetensors``.
        model: the model.
        training: how it was trained, JSON-able; kept for the record.
        trained_for: {"task": its kind, "operator": its options, "channels": of the images, "domain": what they show},
            JSON-able; None if it is not known.
        half: store matrices and kernels as float16; scalars and vectors stay float32.
        replace: a file that exists.

    Raises:
        InputError: the file exists and may not be replaced.
        ResourceError: the folder cannot be written to.
    """
    tensors = model.state_dict()
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    record = {
        "kind": model.kind,
        "config": asdict(model.config),
        "training": dict(training),
        "trained_for": None if trained_for is None else dict(trained_for),
    }
    write(path, KIND, record, tensors, replace=replace)


def load_weights(path: str | Path) -> Learned:
    """Build the model of a weights file, of a released checkpoint (``.pkl``), or of a run folder: the averaged weights
    of its last checkpoint. The model is in float32 and evaluation mode.

    Its ``trained_for`` and ``training_record`` come from the file.

    Raises:
        InputError: the file is missing, damaged, no weights file, from a newer version, or its
            tensors do not fit its configuration.
        NumericalError: a weight is not finite.
    """
    path = Path(path)
    if is_run(path):
        return load_averaged(path)
    if path.suffix in PICKLES:
        return load_released(path)
    record, tensors = read(path, KIND)
    try:
        with torch.device("meta"), warnings.catch_warnings(action="ignore"):  # of sizes that do not fit later
            model: Learned = MODELS.find(record["kind"]).restore(record["config"])
        model.trained_for, model.training_record = record["trained_for"], record["training"]
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # whatever a model refuses
        raise InputError(f"{str(path)!r} has metadata that cannot be read", "make it with `idm train`") from error
    check(path, model.state_dict(), tensors)
    return fill(model, tensors)


def _read_schema_1(path: Path, record: dict[str, Any], tensors: dict[str, Tensor]) -> Content:
    """The record of files whose checksum covers the tensors alone, brought up to date."""
    check_schema(path, KIND, record["schema"])
    if record["sha256"] != _digest(tensors):
        raise InputError(f"{str(path)!r} is damaged: it does not match its checksum", "make or copy it again")
    config = dict(record["config"])
    if record["kind"] == "prior":
        config["unet"] = updated(config["unet"])
    else:
        inner = config["denoiser"]
        config |= {"denoiser": {**inner, "unet": updated(inner["unet"])}, "rule": RULES[config.pop("schedule")]}
    training = record.get("training") or {}
    trained_for = purpose_of(training["config"]) if "config" in training else None
    if training.keys() == {"released"}:  # converted
        trained_for = released_for(config["denoiser"]["unet"]["image_channels"])
    record = {"kind": record["kind"], "config": config, "training": training, "trained_for": trained_for}
    return record, renamed(tensors)


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """The checksum of schema 1."""
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


KIND = FileKind(
    "idm_weights",
    "weights file",
    "weights of idm",
    schema=2,
    hint="train one with `idm train`, or take a released .pkl",
    older=_read_schema_1,
)
