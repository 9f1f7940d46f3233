"""CLIP's text encoder (Radford et al., ICML 2021), for the embedding of an empty prompt in latent diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

from idmcli.errors import InputError
from idmcli.models.pretrained import CONFIG
from idmcli.models.tensors import read_tensors
from idmcli.priors.published.diffusers_folders import check_layers, find_weights, read_json
from idmcli.priors.published.networks import build_network, load_tensors

TEXT_FILES = ("model.safetensors", "model.fp16.safetensors")
SPECIAL_TOKENS = "special_tokens_map.json"
PARTS = ("q_proj", "k_proj", "v_proj")
NAMES = {
    "self_attn.out_proj": "self_attn.out_proj",
    "linear1": "mlp.fc1",
    "linear2": "mlp.fc2",
    "norm1": "layer_norm1",
    "norm2": "layer_norm2",
}


class TextEncoder(nn.Module):
    """The hidden states of tokens, (B, length) to (B, length, channels), after the last normalisation.

    Args:
        config: the configuration of a ``CLIPTextModel``.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        channels, eps = config["hidden_size"], config.get("layer_norm_eps", 1e-5)
        self.length = config.get("max_position_embeddings", 77)
        self.vocabulary = config.get("vocab_size", 49408)
        self.token_embedding = nn.Embedding(self.vocabulary, channels)
        self.position_embedding = nn.Embedding(self.length, channels)
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(
                *(channels, config["num_attention_heads"], config["intermediate_size"]),
                dropout=0.0,
                activation=gelu if config.get("hidden_act") == "gelu" else quick_gelu,
                layer_norm_eps=eps,
                batch_first=True,
                norm_first=True,
            )
            for _ in range(config["num_hidden_layers"])
        )
        self.final_layer_norm = nn.LayerNorm(channels, eps)

    def forward(self, tokens: Tensor) -> Tensor:
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.token_embedding(tokens) + self.position_embedding(places)
        later = torch.ones(len(places), len(places), dtype=torch.bool, device=tokens.device).triu(1)
        for layer in self.layers:
            hidden = layer(hidden, src_mask=later)
        normalised: Tensor = self.final_layer_norm(hidden)
        return normalised

    def empty_prompt(self, padding: int | None = None) -> Tensor:
        """The embedding of a prompt without words, (1, length, channels).

        Args:
            padding: the token after the last one; None for the last one again.
        """
        first, last = self.vocabulary - 2, self.vocabulary - 1
        rest = [last if padding is None else padding] * (self.length - 2)
        found: Tensor = self(torch.tensor([[first, last, *rest]]))
        return found


def quick_gelu(x: Tensor) -> Tensor:
    """``x sigmoid(1.702 x)``."""
    return x * torch.sigmoid(1.702 * x)


def published_names(encoder: TextEncoder) -> dict[str, tuple[str, ...]]:
    """For every tensor of an encoder, its names in a ``CLIPTextModel``: one, or three tensors that are stacked."""
    found: dict[str, tuple[str, ...]] = {}
    for name in encoder.state_dict():
        if not name.startswith("layers."):
            where = "" if name.startswith("final") else "embeddings."
            found[name] = (f"text_model.{where}{name}",)
            continue
        _, number, part = name.split(".", 2)
        layer = f"text_model.encoder.layers.{number}"
        if part.startswith("self_attn.in_proj_"):
            kind = part.removeprefix("self_attn.in_proj_")
            found[name] = tuple(f"{layer}.self_attn.{which}.{kind}" for which in PARTS)
        else:
            module, _, kind = part.rpartition(".")
            found[name] = (f"{layer}.{NAMES[module]}.{kind}",)
    return found


@torch.no_grad()
def embed_empty_prompt(path: Path, examples: str) -> Tensor:
    """The embedding of the empty prompt, (1, length, channels), by the text encoder in a model's folder.

    Args:
        path: the folder.
        examples: models to take instead of one with another encoder.

    Raises:
        InputError: the encoder is not CLIP's; something is missing, damaged or does not fit.
        NumericalError: a weight is not finite.
    """
    folder = path / "text_encoder"
    config = read_json(folder / CONFIG)
    named = config.get("architectures")
    kind = named[0] if isinstance(named, list) and named else config.get("model_type")
    if kind not in ("CLIPTextModel", "clip_text_model"):
        raise InputError(f"{str(path)!r} has a text encoder of another kind than CLIP's: {kind!r}", f"take {examples}")
    check_layers(folder, {"layers_per_block": config.get("num_hidden_layers")})
    encoder, file = build_network(folder / CONFIG, lambda: TextEncoder(config)), find_weights(folder, TEXT_FILES)
    tensors = read_tensors(file)
    tensors.pop("text_model.embeddings.position_ids", None)  # 0, 1, 2, ...
    names, own = published_names(encoder), encoder.state_dict()
    missing = [name for parts in names.values() for name in parts if name not in tensors]
    unknown = sorted(set(tensors).difference(*names.values()))
    if missing or unknown:
        which = f"{missing[0]} is missing" if missing else f"{unknown[0]} is unknown"
        raise InputError(f"{str(file)!r} does not fit its own configuration: {which}", "copy it again")
    load_tensors(file, encoder, {name: torch.cat([tensors[part] for part in names[name]]) for name in own})
    return encoder.empty_prompt(_padding(path / "tokenizer" / SPECIAL_TOKENS))


def _padding(special: Path) -> int | None:
    """The token after the last one of a prompt; None for the last one again, as in Stable Diffusion 1."""
    pad = read_json(special).get("pad_token") if special.is_file() else None
    return 0 if pad == "!" else None
