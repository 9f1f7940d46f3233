"""Diffusion models in pixel space, in the folders of diffusers."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.io.records import read_object
from idmcli.models.foreign.diffusion import Prediction, VariancePreserving
from idmcli.models.hub import fetch
from idmcli.models.pretrained import CONFIG, FILES
from idmcli.models.tensors import read_tensors
from idmcli.priors.foreign import ForeignPrior
from idmcli.priors.layouts import built, diffusion, filled

INDEX, SCHEDULER = "model_index.json", "scheduler_config.json"
EXAMPLE = "google/ddpm-ema-celebahq-256"
MAX_STEPS, MAX_LAYERS = 100_000, 100
AGAIN = "copy it again"
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}  # from old names of attention


def is_pipeline(path: Path) -> bool:
    """Whether a folder looks like diffusers': a model's, or that of the U-Net in it."""
    return any((path / part / CONFIG).is_file() for part in ("", "unet"))


def download(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, of which what is needed is fetched once.

    Raises:
        InputError: it is not there, the hub cannot be reached, or it is no model in pixel space.
    """
    hint = "download the model where there is a network, and give the path of its folder to --prior"
    folders = ("unet/", "")
    small = [[INDEX, CONFIG], [f"{part}{CONFIG}" for part in folders], [f"scheduler/{SCHEDULER}", SCHEDULER]]
    (index, *_) = fetch("--prior", name, small, hint)
    _unet_config(index.parent)  # what cannot be used is not worth a large download
    fetch("--prior", name, [[f"{part}{file}" for part in folders for file in FILES]], hint)
    return index.parent


def load_pipeline(path: Path) -> ForeignPrior:
    """The prior in a folder: ``UNet2DModel`` with the schedule and the prediction of its scheduler.

    Raises:
        InputError: it is latent, conditional, or of another kind; something is missing, damaged or does not fit.
        NumericalError: a weight is not finite.
    """
    from diffusers import UNet2DModel

    folder, config = _unet_config(path)
    scheduler = _scheduler_config(path)
    file = next((folder / name for name in FILES if (folder / name).is_file()), None)
    if file is None:
        raise InputError(f"{str(folder)!r} has no {FILES[0]}", "copy the model again")
    unet = built(folder / CONFIG, lambda: cast(nn.Module, _of(UNet2DModel, config)))
    filled(file, unet, {_renamed(name): tensor for name, tensor in read_tensors(file).items()})
    prediction = scheduler.get("prediction_type", "epsilon")
    if prediction not in Prediction.__args__:  # type: ignore[attr-defined]
        raise InputError(f"{str(path)!r} predicts {prediction!r}", "name a model that predicts noise, v or samples")
    return diffusion(path, title(path), VariancePreserving(unet, _alphas(path, scheduler), prediction))


def title(path: Path) -> str:
    """What people call a model: "owner/name" in the hub's cache, the folder's name elsewhere."""
    parts = path.absolute().parts
    hub = [part for part in parts if part.startswith("models--")]
    return "/".join(hub[-1].split("--")[1:]) if hub and "snapshots" in parts else path.absolute().name


def _unet_config(path: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder of the U-Net, and its configuration, if it is one that idm can use."""
    index = read_object(path / INDEX, AGAIN) if (path / INDEX).is_file() else {}
    if any(part in index for part in ("vae", "vqvae", "movq")):
        raise InputError(
            f"{str(path)!r} is a latent diffusion model, and --prior takes those in pixel space", f"take {EXAMPLE}"
        )
    folder = path / "unet" if (path / "unet" / CONFIG).is_file() else path
    config = read_object(folder / CONFIG, AGAIN)
    kind = config.get("_class_name")
    if kind != "UNet2DModel":
        raise InputError(
            f"{str(folder / CONFIG)!r} describes a {kind!r}, and --prior takes a UNet2DModel in pixel space",
            f"take {EXAMPLE}",
        )
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise InputError(f"{str(path)!r} needs the class of the image", "name an unconditional model")
    if config.get("time_embedding_type", "positional") != "positional":
        raise InputError(f"{str(path)!r} embeds another time than a schedule's", f"take {EXAMPLE}")
    layers = config.get("layers_per_block", 2)
    if not isinstance(layers, int) or not 0 < layers <= MAX_LAYERS:  # building more takes for ever
        raise InputError(f"{str(folder / CONFIG)!r} has {layers!r} layers in each block", f"at most {MAX_LAYERS}")
    return folder, config


def _scheduler_config(path: Path) -> Mapping[str, Any]:
    places = [path / "scheduler" / SCHEDULER, path / SCHEDULER, path.absolute().parent / "scheduler" / SCHEDULER]
    place = next((place for place in places if place.is_file()), None)
    if place is None:
        raise InputError(f"{str(path)!r} has no scheduler/{SCHEDULER}, which says what its times mean", "copy it too")
    return read_object(place, AGAIN)


def _alphas(path: Path, config: Mapping[str, Any]) -> Tensor:
    """The cumulative alphas of a scheduler's betas; where they reach zero, those before."""
    from diffusers import DDPMScheduler

    steps = config.get("num_train_timesteps", 1000)
    if "beta_schedule" not in config and "trained_betas" not in config:
        raise InputError(f"{str(path)!r} has a {config.get('_class_name')!r}, which has no betas", f"take {EXAMPLE}")
    if not isinstance(steps, int) or not 1 < steps <= MAX_STEPS:
        raise InputError(f"{str(path)!r} has a schedule of {steps!r} steps", f"at most {MAX_STEPS}")
    try:
        scheduler = _of(DDPMScheduler, config)
        alphas: Tensor = scheduler.alphas_cumprod.double()
    except Exception as error:  # whatever a scheduler refuses
        raise InputError(f"{str(path)!r} has a schedule that cannot be read", "copy it again") from error
    alphas = alphas[alphas > 1e-9]
    if len(alphas) < 2 or not bool(((alphas < 1) & alphas.isfinite()).all() and (alphas.diff() < 0).all()):
        raise InputError(f"{str(path)!r} has a schedule whose noise does not grow", "copy it again")
    return alphas


def _of(kind: Callable[..., Any], config: Mapping[str, Any]) -> Any:
    """An object of diffusers with what it takes of a configuration; the rest is for others, or of other versions."""
    return kind(**{name: config[name] for name in inspect.signature(kind).parameters if name in config})


def _renamed(name: str) -> str:
    return re.sub(r"(attentions\.\d+\.)(query|key|value|proj_attn)\.", lambda m: f"{m[1]}{RENAMED[m[2]]}.", name)
