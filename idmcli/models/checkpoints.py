"""Weights files: safetensors that describe themselves."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from pydantic import TypeAdapter
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.released import load_released
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.tensors import PICKLES, check, fill

SCHEMA = 1
_KEY = "idm_weights"

Model = Denoiser | InvertibleDiffusion


def kind_of(model: Model) -> str:
    """ "prior" (a noise estimator) or "idm" (the wired sampler)."""
    return "prior" if isinstance(model, Denoiser) else "idm"


def shipped_weights(name: str) -> Path:
    """The path of weights that come with idm: "prior-tiny" or "cs-tiny"."""
    return Path(str(files("idmcli") / "weights" / f"{name}.safetensors"))


def save_weights(path: Path, model: Model, *, training: Mapping[str, Any], half: bool = False) -> None:
    """Write a model with its configuration, atomically; equal models give equal bytes.

    Args:
        path: ``.safetensors``.
        model: the model.
        training: how it was trained, JSON-able; kept for the record.
        half: store matrices and kernels as float16; scalars and vectors stay float32.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
    record = {
        "schema": SCHEMA,
        "kind": kind_of(model),
        "config": asdict(model.config),
        "training": dict(training),
        "sha256": _digest(tensors),
    }
    write_bytes(path, save(tensors, {_KEY: json.dumps(record, sort_keys=True)}))


def load_weights(path: Path) -> Model:
    """Build the model of a weights file, or of a released checkpoint (``.pkl``), in float32 and evaluation mode.

    Raises:
        InputError: the file is missing, damaged, no weights file, from a newer version, or its
            tensors do not fit its configuration.
        NumericalError: a weight is not finite.
    """
    if path.suffix in PICKLES:
        return load_released(path)
    record, tensors = _read(path)
    try:
        if record["schema"] > SCHEMA:
            raise InputError(f"{str(path)!r} was written by a newer idm (schema {record['schema']})", "update idm")
        if record["sha256"] != _digest(tensors):
            raise InputError(f"{str(path)!r} is damaged: it does not match its checksum", "copy it again")
        model: Model
        with torch.device("meta"):
            if record["kind"] == "prior":
                model = Denoiser(TypeAdapter(DenoiserConfig).validate_python(record["config"]))
            else:
                model = InvertibleDiffusion(TypeAdapter(SamplerConfig).validate_python(record["config"]))
    except (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError) as error:  # whatever a model refuses
        raise InputError(f"{str(path)!r} has metadata that cannot be read", "make it with `idm train`") from error
    check(path, model.state_dict(), tensors)
    return fill(model, tensors)


def training_of(path: Path) -> dict[str, Any]:
    """How the model of a readable weights file was trained; of a released checkpoint the name alone is known."""
    if path.suffix in PICKLES:
        return {"released": path.name}
    with safe_open(path, framework="pt") as file:
        training = json.loads(file.metadata()[_KEY]).get("training")
    return training if isinstance(training, dict) else {}


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    if not path.is_file():
        raise InputError(f"there is no weights file {str(path)!r}", "train one with `idm train`")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (not a mapping)
        return json.loads(metadata[_KEY]), tensors
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(
            f"{str(path)!r} is not a readable weights file: {error}", "idm reads .safetensors, and .pkl as released"
        ) from error
    except KeyError:
        raise InputError(f"{str(path)!r} holds no idm weights", "make them with `idm train`") from None


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.numpy().tobytes())
    return digest.hexdigest()


def kind_in(path: Path) -> str | None:
    """What a weights file of idm says it holds ("prior" or "idm"); None for any other file."""
    try:
        return str(_read(path)[0]["kind"])
    except (InputError, KeyError):
        return None


def trained_for(path: Path) -> dict[str, Any]:
    """What a network was trained to reconstruct: the task's kind and what else it is bound to."""
    config = training_of(path).get("config", {})
    kind = config.get("task", {}).get("kind")
    permutation = config.get("operator", {}).get("permutation")
    return {"task": kind, **({"permutation": permutation} if kind == "cs" else {})} if kind else {}
