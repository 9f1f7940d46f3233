"""Configurations, schedules and names in the folders of diffusers' models."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

from torch import Tensor

from idmcli.errors import InputError
from idmcli.io.records import read_object
from idmcli.models.pretrained import CONFIG
from idmcli.models.variance_preserving import Prediction

INDEX, SCHEDULER = "model_index.json", "scheduler_config.json"
AUTOENCODERS = {"vae": "AutoencoderKL", "vqvae": "VQModel"}  # by their folder
EXAMPLE = "google/ddpm-ema-celebahq-256"
HINT = "download the model where there is a network, and give the path of its folder to --prior"
MAX_STEPS, MAX_LAYERS = 100_000, 100
ATTENTION_TODAY = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # by its old names


def is_model_folder(path: Path) -> bool:
    """Whether a folder looks like a model of diffusers, or like the U-Net in one."""
    return any((path / part / CONFIG).is_file() for part in ("", "unet"))


def has_autoencoder(path: Path) -> bool:
    """Whether a model's folder says that it has an autoencoder, so that it is a latent diffusion model.

    Raises:
        InputError: its index is damaged.
    """
    index = read_json(path / INDEX) if (path / INDEX).is_file() else {}
    return any(part in index or (path / part / CONFIG).is_file() for part in (*AUTOENCODERS, "movq"))


def model_name(path: Path) -> str:
    """The name of a model: "owner/name" in the hub's cache, the folder's name elsewhere.

    >>> model_name(Path("hub/models--google--ddpm/snapshots/0123"))
    'google/ddpm'
    """
    parts = path.absolute().parts
    hub = [part for part in parts if part.startswith("models--")]
    return "/".join(hub[-1].split("--")[1:]) if hub and "snapshots" in parts else path.absolute().name


def scheduler_config(path: Path) -> Mapping[str, Any]:
    """The configuration of a model's scheduler.

    Raises:
        InputError: there is none, or it is damaged.
    """
    places = [path / "scheduler" / SCHEDULER, path / SCHEDULER, path.absolute().parent / "scheduler" / SCHEDULER]
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        raise InputError(f"{str(path)!r} has no scheduler/{SCHEDULER}, which says what its times mean", "copy it too")
    return read_json(place)


def prediction_of(path: Path, scheduler: Mapping[str, Any]) -> Prediction:
    """The quantity that a model predicts, by the configuration of its scheduler.

    Raises:
        InputError: idm does not know it.
    """
    prediction: Any = scheduler.get("prediction_type", "epsilon")
    if prediction not in get_args(Prediction):
        raise InputError(f"{str(path)!r} predicts {prediction!r}", "name a model that predicts noise, v or samples")
    return prediction  # type: ignore[no-any-return]


def check_layers(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuse more layers in a block than any model has: building them takes for ever.

    Raises:
        InputError: there are too many, or the configuration gives no number.
    """
    layers = config.get("layers_per_block", 2)
    if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:
        raise InputError(
            f"{str(folder / 'config.json')!r} has {layers!r} layers in each block", f"at most {MAX_LAYERS}"
        )


def check_times(path: Path, config: Mapping[str, Any], examples: str) -> None:
    """Refuse a U-Net that embeds something else than the times of a schedule.

    Args:
        path: the model's folder, for the message.
        config: the configuration of its U-Net.
        examples: models to take instead.

    Raises:
        InputError: it embeds something else.
    """
    if config.get("time_embedding_type", "positional") != "positional":
        raise InputError(f"{str(path)!r} embeds another time than a schedule's", f"take {examples}")


def find_weights(folder: Path, names: Sequence[str]) -> Path:
    """The first file of these names in a folder.

    Raises:
        InputError: there is none.
    """
    file = next((folder / name for name in names if (folder / name).is_file()), None)
    if file is None:
        raise InputError(f"{str(folder)!r} has no {names[0]}", "copy the model again")
    return file


def cumulative_alphas(path: Path, config: Mapping[str, Any]) -> Tensor:
    """The cumulative alphas of a scheduler's betas, (steps,), falling; where they reach zero, those before.

    Raises:
        InputError: the schedule has none, or is damaged.
    """
    from diffusers import DDPMScheduler

    steps = config.get("num_train_timesteps", 1000)
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise InputError(f"{str(path)!r} has a {config.get('_class_name')!r}, which has no betas", f"take {EXAMPLE}")
    if not isinstance(steps, int) or not 1 < steps <= MAX_STEPS:
        raise InputError(f"{str(path)!r} has a schedule of {steps!r} steps", f"at most {MAX_STEPS}")
    try:
        found: Tensor = from_config(DDPMScheduler, config).alphas_cumprod.double()
    except Exception as error:  # whatever a scheduler refuses
        raise InputError(f"{str(path)!r} has a schedule that cannot be read", "copy it again") from error
    found = found[found > 1e-9]
    if len(found) < 2 or not bool(((found < 1) & found.isfinite()).all() and (found.diff() < 0).all()):
        raise InputError(f"{str(path)!r} has a schedule whose noise does not grow", "copy it again")
    return found


def name_today(name: str) -> str:
    """The name that diffusers gives a tensor today; tensors of attention had other names once.

    >>> name_today("mid_block.attentions.0.query.weight")
    'mid_block.attentions.0.to_q.weight'
    """
    old = r"(attentions\.\d+\.)(query|key|value|proj_attn)\."
    return re.sub(old, lambda match: f"{match[1]}{ATTENTION_TODAY[match[2]]}.", name)


def read_json(path: Path) -> Mapping[str, Any]:
    """A configuration.

    Raises:
        InputError: it is missing or damaged.
    """
    return read_object(path, "copy it again")


def from_config(kind: Callable[..., Any], config: Mapping[str, Any]) -> Any:
    """An object of diffusers with those keys of a configuration that it takes.

    Other keys are for other objects, or from other versions of diffusers.
    """
    return kind(**{name: config[name] for name in inspect.signature(kind).parameters if name in config})
