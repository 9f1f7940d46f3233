"""Latent diffusion models (Rombach et al., CVPR 2022), in the folders of diffusers, with or without a text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.io.hub import fetch
from idmcli.models.pretrained import CONFIG, FILES
from idmcli.models.tensors import read_tensors
from idmcli.models.variance_preserving import Prediction, VariancePreserving
from idmcli.priors.formats import PriorFormat, Source
from idmcli.priors.latent import NetworkLatentPrior
from idmcli.priors.published.clip import SPECIAL_TOKENS, TEXT_FILES, embed_empty_prompt
from idmcli.priors.published.diffusers_folders import (
    AUTOENCODERS,
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
from idmcli.priors.published.networks import build_network, check_image_channels, load_tensors, photographs

EXAMPLES = "CompVis/ldm-celebahq-256 or sd-legacy/stable-diffusion-v1-5"


class Conditioned(nn.Module):
    """A ``UNet2DConditionModel`` whose text is always the same.

    Args:
        unet: the U-Net.
        embedding: the embedding of the text, (1, length, channels).
    """

    embedding: Tensor

    def __init__(self, unet: nn.Module, embedding: Tensor) -> None:
        super().__init__()
        self.unet = unet
        self.register_buffer("embedding", embedding)

    @property
    def config(self) -> Any:
        return self.unet.config

    def forward(self, x: Tensor, time: Tensor) -> Any:
        return self.unet(x, time, encoder_hidden_states=self.embedding.expand(len(x), -1, -1))


class LatentPipeline(nn.Module):
    """Images in [0, 1] as latents ``z = (E(2 x - 1) - shift) scale``, and a denoiser of these.

    Args:
        autoencoder: an ``AutoencoderKL``, of whose posterior the mean is taken, or a ``VQModel``, which quantises
            latents when it decodes them.
        unet: a ``UNet2DModel`` or :class:`Conditioned`.
        alphas_cumprod: as for :class:`~idmcli.models.variance_preserving.VariancePreserving`.
        prediction: as for the same.
    """

    def __init__(self, autoencoder: Any, unet: nn.Module, alphas_cumprod: Tensor, prediction: Prediction) -> None:
        super().__init__()
        self.autoencoder = autoencoder
        self.estimator = VariancePreserving(unet, alphas_cumprod, prediction)
        self.scale = float(autoencoder.config.scaling_factor)
        self.shift = float(getattr(autoencoder.config, "shift_factor", None) or 0.0)
        self.factor = 2 ** (len(autoencoder.config.block_out_channels) - 1)

    def encode(self, x: Tensor) -> Tensor:
        """The latents (B, c, H / factor, W / factor) of x, (B, C, H, W)."""
        encoded = self.autoencoder.encode(2 * x - 1)
        found: Tensor = encoded.latent_dist.mean if hasattr(encoded, "latent_dist") else encoded.latents
        return (found - self.shift) * self.scale

    def decode(self, z: Tensor) -> Tensor:
        """The images of latents, not clipped."""
        decoded: Tensor = self.autoencoder.decode(z / self.scale + self.shift).sample
        return (decoded + 1) / 2


def download(name: str) -> Path:
    """The folder of a model on the Hugging Face hub, of which what is needed is fetched once.

    Raises:
        InputError: as :func:`idmcli.io.hub.fetch`, or the model is none that idm takes.
    """
    parts = read_json(fetch("--prior", name, [[INDEX]], HINT) / INDEX)
    autoencoder = next((part for part in AUTOENCODERS if part in parts), "vae")
    small = [[INDEX], [f"{autoencoder}/{CONFIG}"], [f"unet/{CONFIG}"], [f"scheduler/{SCHEDULER}"]]
    large = [[f"{folder}/{file}" for file in FILES] for folder in (autoencoder, "unet")]
    if "text_encoder" in parts:
        small += [[f"text_encoder/{CONFIG}"], [f"tokenizer/{SPECIAL_TOKENS}"]]
        large += [[f"text_encoder/{file}" for file in TEXT_FILES]]
    _check_configurations(fetch("--prior", name, small, HINT))  # what cannot be used is not worth a large download
    return fetch("--prior", name, small + large, HINT)


def recognises(source: Source) -> bool:
    """Whether a folder holds a model with an autoencoder."""
    return is_model_folder(source.path) and has_autoencoder(source.path)


def load(source: Source) -> NetworkLatentPrior:
    """The prior in a folder: ``AutoencoderKL`` or ``VQModel``, and ``UNet2DModel`` or, with the embedding of the empty
    prompt, ``UNet2DConditionModel``.

    Raises:
        InputError: the model is of another kind, or needs more than a text; something is missing, damaged or does not
            fit.
        NumericalError: a weight is not finite.
    """
    import diffusers

    path = source.path
    _check_configurations(path)
    part, of_autoencoder = _autoencoder_config(path)
    autoencoder = _load_network(path / part, getattr(diffusers, AUTOENCODERS[part]), of_autoencoder)
    of_unet = _unet_config(path)
    unet = _load_network(path / "unet", getattr(diffusers, of_unet["_class_name"]), of_unet)
    if of_unet["_class_name"] == "UNet2DConditionModel":
        unet = Conditioned(unet, _text_for(path, of_unet)).eval()
    scheduler = scheduler_config(path)
    network = LatentPipeline(autoencoder, unet, cumulative_alphas(path, scheduler), prediction_of(path, scheduler))
    channels = check_image_channels(path, int(cast(Any, autoencoder).config.in_channels))
    return NetworkLatentPrior(network.eval(), model_name(path), photographs(channels, symmetric=False))


def _check_configurations(path: Path) -> None:
    """Raise InputError for what :func:`load` does not take, as far as configurations tell."""
    _, of_autoencoder = _autoencoder_config(path)
    inside, latents = _unet_config(path).get("in_channels"), of_autoencoder.get("latent_channels")
    if inside != latents:
        raise InputError(
            f"{str(path)!r} has a U-Net for {inside} channels and an autoencoder of {latents}",
            f"name a model that generates images, {EXAMPLES} for example",
        )


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


def _load_network(folder: Path, kind: Any, config: Mapping[str, Any]) -> nn.Module:
    """A network of diffusers with the weights in a folder."""
    network = build_network(folder / CONFIG, lambda: cast(nn.Module, from_config(kind, config)))
    file, own = find_weights(folder, FILES), network.state_dict()
    tensors = {name_today(name): tensor for name, tensor in read_tensors(file).items()}
    for name, tensor in tensors.items():  # of attention, which were 1x1 convolutions once
        if name in own and tensor.numel() == own[name].numel() and tensor.shape[2:] == (1, 1):
            tensors[name] = tensor.view(own[name].shape)
    return load_tensors(file, network, tensors)


def _text_for(path: Path, unet: Mapping[str, Any]) -> Tensor:
    """The embedding of the empty prompt, of the channels that the U-Net takes."""
    embedding = embed_empty_prompt(path, EXAMPLES)
    if embedding.shape[2] != unet.get("cross_attention_dim"):
        raise InputError(
            f"{str(path)!r} has a text encoder of {embedding.shape[2]} channels, and its U-Net takes "
            f"{unet.get('cross_attention_dim')}",
            "copy the model again",
        )
    return embedding


FORMAT = PriorFormat(recognises, load)
