"""Diffusion models in pixel space, in the folders of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from idmcli.errors import InputError
from idmcli.models.foreign.diffusion import VariancePreserving
from idmcli.models.hub import fetch
from idmcli.models.pretrained import CONFIG, FILES
from idmcli.models.tensors import read_tensors
from idmcli.priors.folders import (
    EXAMPLE,
    INDEX,
    SCHEDULER,
    alphas,
    check_layers,
    check_times,
    made,
    prediction_of,
    read_json,
    renamed,
    scheduler_config,
    title,
    weights_in,
)
from idmcli.priors.foreign import ForeignPrior
from idmcli.priors.latent_pipelines import download_latent, is_latent
from idmcli.priors.layouts import built, diffusion, filled


def is_pipeline(path: Path) -> bool:
    """Whether a folder looks like diffusers': a model's, or that of the U-Net in it."""
    return any((path / part / CONFIG).is_file() for part in ("", "unet"))


def download(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, of which what is needed is fetched once.

    Raises:
        InputError: it is not there, the hub cannot be reached, or it is no model that idm takes.
    """
    hint = "download the model where there is a network, and give the path of its folder to --prior"
    folders = ("unet/", "")
    small = [[INDEX, CONFIG], [f"{part}{CONFIG}" for part in folders], [f"scheduler/{SCHEDULER}", SCHEDULER]]
    (index, *_) = fetch("--prior", name, small, hint)
    if is_latent(index.parent):
        return download_latent(name, hint)
    _unet_config(index.parent)  # what cannot be used is not worth a large download
    fetch("--prior", name, [[f"{part}{file}" for part in folders for file in FILES]], hint)
    return index.parent


def load_pipeline(path: Path) -> ForeignPrior:
    """The prior in a folder: ``UNet2DModel`` with the schedule and the prediction of its scheduler.

    Raises:
        InputError: it is conditional, or of another kind; something is missing, damaged or does not fit.
        NumericalError: a weight is not finite.
    """
    from diffusers import UNet2DModel

    folder, config = _unet_config(path)
    scheduler = scheduler_config(path)
    file = weights_in(folder, FILES)
    unet = built(folder / CONFIG, lambda: cast(nn.Module, made(UNet2DModel, config)))
    filled(file, unet, {renamed(name): tensor for name, tensor in read_tensors(file).items()})
    prediction = prediction_of(path, scheduler)
    return diffusion(path, title(path), VariancePreserving(unet, alphas(path, scheduler), prediction))


def _unet_config(path: Path) -> tuple[Path, Mapping[str, Any]]:
    """The folder of the U-Net, and its configuration, if it is one that idm can use."""
    folder = path / "unet" if (path / "unet" / CONFIG).is_file() else path
    config = read_json(folder / CONFIG)
    kind = config.get("_class_name")
    if kind != "UNet2DModel":
        raise InputError(
            f"{str(folder / CONFIG)!r} describes a {kind!r}, and --prior takes a UNet2DModel in pixel space",
            f"take {EXAMPLE}",
        )
    if config.get("num_class_embeds") or config.get("class_embed_type"):
        raise InputError(f"{str(path)!r} needs the class of the image", "name an unconditional model")
    check_times(path, config, EXAMPLE)
    check_layers(folder, config)
    return folder, config
