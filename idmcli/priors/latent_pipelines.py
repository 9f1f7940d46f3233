"""Latent diffusion models, in the folders of diffusers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.foreign.clip import TextEncoder, published_names
from idmcli.models.foreign.latent import Conditioned, LatentPipeline
from idmcli.models.hub import fetch
from idmcli.models.pretrained import CONFIG, FILES
from idmcli.models.tensors import read_tensors
from idmcli.priors.folders import (
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
from idmcli.priors.foreign import photographs
from idmcli.priors.latent import NetworkLatentPrior
from idmcli.priors.layouts import built, filled, image_channels

AUTOENCODERS = {"vae": "AutoencoderKL", "vqvae": "VQModel"}  # by their folder
TEXT_FILES = ("model.safetensors", "model.fp16.safetensors")
SPECIAL_TOKENS = "special_tokens_map.json"
EXAMPLES = "CompVis/ldm-celebahq-256 or sd-legacy/stable-diffusion-v1-5"


def is_latent(path: Path) -> bool:
    """Whether a model's folder says that it has an autoencoder."""
    index = read_json(path / INDEX) if (path / INDEX).is_file() else {}
    return any(part in index or (path / part / CONFIG).is_file() for part in (*AUTOENCODERS, "movq"))


def check_latent(path: Path) -> None:
    """Refuse what :func:`load_latent` does not take, from configurations alone.

    Raises:
        InputError: it is of another kind, or conditional on more than a text, or on one without an encoder for it.
    """
    _, of_autoencoder = _autoencoder_config(path)
    inside, latents = _unet_config(path).get("in_channels"), of_autoencoder.get("latent_channels")
    if inside != latents:
        raise InputError(
            f"{str(path)!r} has a U-Net for {inside} channels and an autoencoder of {latents}",
            f"name a model that generates images, {EXAMPLES} for example",
        )


def load_latent(path: Path) -> NetworkLatentPrior:
    """The prior in a folder: ``AutoencoderKL`` or ``VQModel``, and ``UNet2DModel`` or, with the embedding of the empty
    prompt, ``UNet2DConditionModel``.

    Raises:
        InputError: as :func:`check_latent`, or something is missing, damaged or does not fit.
        NumericalError: a weight is not finite.
    """
    import diffusers

    check_latent(path)
    part, of_autoencoder = _autoencoder_config(path)
    autoencoder = _filled(path / part, getattr(diffusers, AUTOENCODERS[part]), of_autoencoder)
    of_unet = _unet_config(path)
    unet = _filled(path / "unet", getattr(diffusers, of_unet["_class_name"]), of_unet)
    if of_unet["_class_name"] == "UNet2DConditionModel":
        unet = Conditioned(unet, _empty_prompt(path, of_unet)).eval()
    scheduler = scheduler_config(path)
    network = LatentPipeline(autoencoder, unet, alphas(path, scheduler), prediction_of(path, scheduler))
    channels = image_channels(path, int(cast(Any, autoencoder).config.in_channels))
    return NetworkLatentPrior(network.eval(), title(path), photographs(channels, symmetric=False))


def _autoencoder_config(path: Path) -> tuple[str, Mapping[str, Any]]:
    """The folder of the autoencoder, and its configuration."""
    part = next((part for part in AUTOENCODERS if (path / part / CONFIG).is_file()), None)
    config = {} if part is None else read_json(path / part / CONFIG)
    if part is None or config.get("_class_name") != AUTOENCODERS[part]:
        found = f"whose autoencoder is a {config.get('_class_name')!r}" if part else "whose autoencoder is not there"
        raise InputError(f"{str(path)!r} is a latent diffusion model {found}", f"take {EXAMPLES}")
    check_layers(path / part, config)
    return part, config


def _unet_config(path: Path) -> Mapping[str, Any]:
    config = read_json(path / "unet" / CONFIG)
    kind = config.get("_class_name")
    if kind not in ("UNet2DModel", "UNet2DConditionModel"):
        raise InputError(f"{str(path)!r} is a latent diffusion model with a {kind!r}", f"take {EXAMPLES}")
    asked = ("num_class_embeds", "class_embed_type", "addition_embed_type", "encoder_hid_dim_type")
    if any(config.get(key) for key in asked):
        raise InputError(f"{str(path)!r} needs more than a text beside the noisy latents", f"take {EXAMPLES}")
    check_times(path, config, EXAMPLES)
    if kind == "UNet2DConditionModel" and not (path / "text_encoder" / CONFIG).is_file():
        raise InputError(
            f"{str(path)!r} needs the embedding of an empty prompt, and has no text_encoder/{CONFIG}",
            "copy the model's folder text_encoder too",
        )
    check_layers(path / "unet", config)
    return config


def _filled(folder: Path, kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A network of diffusers with the weights in a folder."""
    network = built(folder / CONFIG, lambda: cast(nn.Module, made(kind, config)))
    file, own = weights_in(folder, FILES), network.state_dict()
    tensors = {renamed(name): tensor for name, tensor in read_tensors(file).items()}
    for name, tensor in tensors.items():  # of attention, which were 1x1 convolutions once
        if name in own and tensor.numel() == own[name].numel() and tensor.shape[2:] == (1, 1):
            tensors[name] = tensor.view(own[name].shape)
    return filled(file, network, tensors)


@torch.no_grad()
def _empty_prompt(path: Path, unet: Mapping[str, Any]) -> Tensor:
    """The embedding of the empty prompt by the model's text encoder, of the channels that its U-Net takes."""
    folder = path / "text_encoder"
    config = read_json(folder / CONFIG)
    named = config.get("architectures")
    kind = named[0] if isinstance(named, list) and named else config.get("model_type")
    if kind not in ("CLIPTextModel", "clip_text_model"):
        raise InputError(f"{str(path)!r} has a text encoder of another kind than CLIP's: {kind!r}", f"take {EXAMPLES}")
    check_layers(folder, {"layers_per_block": config.get("num_hidden_layers")})
    encoder, file = built(folder / CONFIG, lambda: TextEncoder(config)), weights_in(folder, TEXT_FILES)
    tensors = read_tensors(file)
    tensors.pop("text_model.embeddings.position_ids", None)  # 0, 1, 2, ...
    names, own = published_names(encoder), encoder.state_dict()
    missing = [name for parts in names.values() for name in parts if name not in tensors]
    unknown = sorted(set(tensors).difference(*names.values()))
    if missing or unknown:
        which = f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown"
        raise InputError(f"{str(file)!r} does not fit its own configuration: {which}", "copy it again")
    filled(file, encoder, {name: torch.cat([tensors[part] for part in names[name]]) for name in own})
    embedding = encoder.empty_prompt(_padding(path / "tokenizer" / SPECIAL_TOKENS))
    if embedding.shape[2] != unet.get("cross_attention_dim"):
        raise InputError(
            f"{str(path)!r} has a text encoder of {embedding.shape[2]} channels, and its U-Net takes "
            f"{unet.get('cross_attention_dim')}",
            "copy the model again",
        )
    return embedding


def _padding(special: Path) -> int | None:
    """The token after the last one of a prompt; None for the last one again, as in Stable Diffusion 1."""
    pad = read_json(special).get("pad_token") if special.is_file() else None
    return 0 if pad == "!" else None


def download_latent(name: str, hint: str) -> Path:
    """The folder of a latent model on the Hugging Face hub, of which what is needed is fetched once.

    Raises:
        InputError: as :func:`idmcli.models.hub.fetch`, or the model is none that idm takes.
    """
    (index,) = fetch("--prior", name, [[INDEX]], hint)
    path, parts = index.parent, read_json(index)
    part = next((part for part in AUTOENCODERS if part in parts), "vae")
    small = [[f"{part}/{CONFIG}"], [f"unet/{CONFIG}"], [f"scheduler/{SCHEDULER}"]]
    large = [[f"{folder}/{file}" for file in FILES] for folder in (part, "unet")]
    if "text_encoder" in parts:
        small += [[f"text_encoder/{CONFIG}"], [f"tokenizer/{SPECIAL_TOKENS}"]]
        large += [[f"text_encoder/{file}" for file in TEXT_FILES]]
    fetch("--prior", name, small, hint)
    check_latent(path)  # what cannot be used is not worth a large download
    fetch("--prior", name, large, hint)
    return path
