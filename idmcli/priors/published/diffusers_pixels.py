"""Diffusion models in pixel space, in the folders of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import nn

from idmcli.errors import InputError
from idmcli.io.hub import fetch
from idmcli.models.pretrained import CONFIG, FILES
from idmcli.models.tensors import read_tensors
from idmcli.models.variance_preserving import VariancePreserving
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.module import ModulePrior
from idmcli.priors.published.diffusers_folders import (
    EXAMPLE,
    HINT,
    INDEX,
    SCHEDULER,
    check_layers,
    check_times,
    cumulative_alphas,
    find_weights,
    from_config,
    has_autoencoder,
    is_model_folder,
    model_name,
    name_today,
    prediction_of,
    read_json,
    scheduler_config,
)
from idmcli.priors.published.networks import build_network, diffusion_prior, load_tensors


def download(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, of which what is needed is fetched once.

    Raises:
        InputError: as :func:`idmcli.io.hub.fetch`, or the model is none that idm takes.
    """
    places = ("unet/", "")
    small = [[INDEX, CONFIG], [f"{place}{CONFIG}" for place in places], [f"scheduler/{SCHEDULER}", SCHEDULER]]
    weights = [f"{place}{file}" for place in places for file in FILES]
    _unet_config(fetch("--prior", name, small, HINT))  # what cannot be used is not worth a large download
    return fetch("--prior", name, [*small, weights], HINT)


def recognises(source: Source) -> bool:
    """Whether a folder holds a model without an autoencoder, or its U-Net."""
    return is_model_folder(source.path) and not has_autoencoder(source.path)


def load(source: Source) -> ModulePrior:
    """The prior in a folder: ``UNet2DModel`` with the schedule and the prediction of its scheduler.

    Raises:
        InputError: the model is conditional, or of another kind; something is missing, damaged or does not fit.
        NumericalError: a weight is not finite.
    """
    from diffusers import UNet2DModel

    path = source.path
    folder, config = _unet_config(path)
    scheduler = scheduler_config(path)
    file = find_weights(folder, FILES)
    unet = build_network(folder / CONFIG, lambda: cast(nn.Module, from_config(UNet2DModel, config)))
    load_tensors(file, unet, {name_today(name): tensor for name, tensor in read_tensors(file).items()})
    prediction = prediction_of(path, scheduler)
    network = VariancePreserving(unet, cumulative_alphas(path, scheduler), prediction)
    return diffusion_prior(path, model_name(path), network)


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


FORMAT = PriorFormat(recognises, load)
