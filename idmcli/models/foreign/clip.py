"""CLIP's text encoder (Radford et al., ICML 2021), for the embedding of an empty prompt in latent diffusion."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import gelu

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
        config: that of a ``CLIPTextModel``.
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
        """Its embedding, (1, length, channels): the first token, the last one, and padding, which is the last one too
        if None."""
        first, last = self.vocabulary - 2, self.vocabulary - 1
        rest = [last if padding is None else padding] * (self.length - 2)
        found: Tensor = self(torch.tensor([[first, last, *rest]]))
        return found


def quick_gelu(x: Tensor) -> Tensor:
    """``x sigmoid(1.702 x)``."""
    return x * torch.sigmoid(1.702 * x)


def published_names(encoder: TextEncoder) -> dict[str, tuple[str, ...]]:
    """For every tensor of an encoder, its names in a ``CLIPTextModel``: of one, or of three that are stacked."""
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
