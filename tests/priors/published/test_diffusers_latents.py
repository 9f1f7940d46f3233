"""Latent diffusion models in the folders of diffusers: the same numbers as diffusers computes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel, UNet2DModel, VQModel
from safetensors.torch import load_file, save_file
from torch import Tensor

from idmcli.errors import InputError
from idmcli.priors import NetworkLatentPrior, load_prior
from idmcli.priors.published.clip import TextEncoder, published_names
from tests.hub import prior_found, served
from tests.priors.published.test_diffusers_pixels import edited
from tests.priors.test_formats import recognised
from tests.small import random

CLIP: dict[str, Any] = {
    "architectures": ["CLIPTextModel"],
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_attention_heads": 2,
    "num_hidden_layers": 2,
    "max_position_embeddings": 7,
    "vocab_size": 20,
    "hidden_act": "quick_gelu",
}
BLOCKS: dict[str, Any] = {"block_out_channels": (8, 16), "layers_per_block": 1, "norm_num_groups": 4}
CODER: dict[str, Any] = {
    **BLOCKS,
    "down_block_types": ("DownEncoderBlock2D",) * 2,
    "up_block_types": ("UpDecoderBlock2D",) * 2,
    "latent_channels": 3,
}


def scheduler() -> DDIMScheduler:
    return DDIMScheduler(
        beta_start=0.0015, beta_end=0.0195, beta_schedule="scaled_linear", clip_sample=False, set_alpha_to_one=False
    )


def index(path: Path, **parts: str) -> Path:
    (path / "model_index.json").write_text(json.dumps({part: ["diffusers", kind] for part, kind in parts.items()}))
    return path


@pytest.fixture
def ldm(tmp_path: Path) -> Path:
    """A folder like that of CompVis/ldm-celebahq-256."""
    torch.manual_seed(0)
    path = tmp_path / "ldm"
    VQModel(**CODER, num_vq_embeddings=32, scaling_factor=0.7).save_pretrained(path / "vqvae")
    down, up = ("DownBlock2D", "AttnDownBlock2D"), ("AttnUpBlock2D", "UpBlock2D")
    unet = UNet2DModel(**BLOCKS, in_channels=3, out_channels=3, down_block_types=down, up_block_types=up)
    unet.save_pretrained(path / "unet")
    scheduler().save_pretrained(path / "scheduler")
    return index(path, vqvae="VQModel", unet="UNet2DModel", scheduler="DDIMScheduler")


def text_weights() -> dict[str, Tensor]:
    """Tensors of the published names."""
    torch.manual_seed(0)
    encoder = TextEncoder(CLIP)
    named: dict[str, Tensor] = {}
    for name, parts in published_names(encoder).items():
        named.update(zip(parts, encoder.state_dict()[name].chunk(len(parts)), strict=True))
    named = {name: torch.randn_like(tensor) / 3 for name, tensor in named.items()}
    return {**named, "text_model.embeddings.position_ids": torch.arange(7)[None]}


@pytest.fixture
def stable_diffusion(tmp_path: Path) -> Path:
    """A folder like that of Stable Diffusion 1.5."""
    torch.manual_seed(0)
    path = tmp_path / "sd"
    AutoencoderKL(**CODER).save_pretrained(path / "vae")
    UNet2DConditionModel(
        **BLOCKS,
        in_channels=3,
        out_channels=3,
        down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=2,
    ).save_pretrained(path / "unet")
    scheduler().save_pretrained(path / "scheduler")
    (path / "text_encoder").mkdir()
    (path / "text_encoder/config.json").write_text(json.dumps(CLIP))
    save_file(text_weights(), path / "text_encoder/model.safetensors")
    (path / "tokenizer").mkdir()
    (path / "tokenizer/special_tokens_map.json").write_text(json.dumps({"pad_token": "<|endoftext|>"}))
    parts = {"vae": "AutoencoderKL", "unet": "UNet2DConditionModel", "scheduler": "DDIMScheduler"}
    return index(path, **parts, text_encoder="CLIPTextModel", tokenizer="CLIPTokenizer")


def load(path: Path) -> NetworkLatentPrior:
    prior = load_prior(path)
    assert isinstance(prior, NetworkLatentPrior)
    return prior


def by_hand(tensors: dict[str, Tensor], tokens: Tensor) -> Tensor:
    """What CLIP's text encoder makes of tokens, (length, channels), matrix by matrix."""

    def linear(x: Tensor, name: str) -> Tensor:
        return x @ tensors[f"text_model.{name}.weight"].T + tensors[f"text_model.{name}.bias"]

    def normalised(x: Tensor, name: str) -> Tensor:
        x = (x - x.mean(-1, keepdim=True)) / (x.var(-1, keepdim=True, correction=0) + 1e-5).sqrt()
        return x * tensors[f"text_model.{name}.weight"] + tensors[f"text_model.{name}.bias"]

    embeddings = "text_model.embeddings"
    x = tensors[f"{embeddings}.token_embedding.weight"][tokens] + tensors[f"{embeddings}.position_embedding.weight"]
    for number in range(CLIP["num_hidden_layers"]):
        layer = f"encoder.layers.{number}"
        h = normalised(x, f"{layer}.layer_norm1")
        q, k, v = (linear(h, f"{layer}.self_attn.{part}_proj").view(7, 2, 8).transpose(0, 1) for part in "qkv")
        scores = q @ k.mT / 8**0.5 + torch.full((7, 7), -torch.inf).triu(1)
        heads = (scores.softmax(-1) @ v).transpose(0, 1).reshape(7, 16)
        x = x + linear(heads, f"{layer}.self_attn.out_proj")
        h = linear(normalised(x, f"{layer}.layer_norm2"), f"{layer}.mlp.fc1")
        x = x + linear(h * torch.sigmoid(1.702 * h), f"{layer}.mlp.fc2")
    return normalised(x, "final_layer_norm")


def agrees_with_diffusers(prior: NetworkLatentPrior, coder: Any, unet: Any, text: Tensor | None) -> None:
    """Encoding, one DDIM step to the end, and decoding."""
    x, scale, schedule = torch.rand(2, 3, 8, 12), coder.config.scaling_factor, scheduler()
    schedule.set_timesteps(1000)
    with torch.no_grad():
        encoded = coder.encode(2 * x - 1)
        z = scale * (encoded.latent_dist.mode() if isinstance(coder, AutoencoderKL) else encoded.latents)
        torch.testing.assert_close(prior.encode(x), z)
        ab = schedule.alphas_cumprod[400]
        r = random(2, 3, 4, 6, dtype=torch.float32)
        asked = {} if text is None else {"encoder_hidden_states": text.expand(2, -1, -1)}
        out = unet(r * ab.sqrt(), 400, **asked).sample
        expected = schedule.step(out, 400, r * ab.sqrt()).pred_original_sample
        sigma = ((1 - ab) / ab).sqrt().expand(2, 1, 1, 1)
        torch.testing.assert_close(prior(r, sigma), expected, rtol=0, atol=1e-3)
        decoded = coder.decode(r / scale).sample
        torch.testing.assert_close(prior.decode(r, (8, 12)), (decoded + 1) / 2)
    assert prior.domain.channels == 3 and not prior.domain.symmetric
    first = schedule.alphas_cumprod[-1]
    assert prior.levels(10)[0] == pytest.approx(float(((1 - first) / first).sqrt()), rel=1e-4)


def test_an_ldm_computes_what_diffusers_does(ldm: Path) -> None:
    coder, unet = (kind.from_pretrained(ldm / part) for part, kind in (("vqvae", VQModel), ("unet", UNet2DModel)))
    assert recognised(ldm) == ["diffusers-latents"]
    agrees_with_diffusers(load(ldm), coder, unet, None)


def test_stable_diffusion_computes_what_diffusers_does_with_the_empty_prompt(stable_diffusion: Path) -> None:
    coder = AutoencoderKL.from_pretrained(stable_diffusion / "vae")
    unet = UNet2DConditionModel.from_pretrained(stable_diffusion / "unet")
    text = by_hand(text_weights(), torch.tensor([18, 19, 19, 19, 19, 19, 19]))[None]
    agrees_with_diffusers(load(stable_diffusion), coder, unet, text)


def test_the_empty_prompt_of_stable_diffusion_2_is_padded_otherwise(stable_diffusion: Path) -> None:
    before = load(stable_diffusion).network.estimator.unet.embedding  # type: ignore[union-attr]
    (stable_diffusion / "tokenizer/special_tokens_map.json").write_text(json.dumps({"pad_token": "!"}))
    after = load(stable_diffusion).network.estimator.unet.embedding  # type: ignore[union-attr]
    torch.testing.assert_close(after[0], by_hand(text_weights(), torch.tensor([18, 19, 0, 0, 0, 0, 0])))
    assert not torch.allclose(before, after)


def test_gradients_reach_the_latents_through_the_decoder_of_either(ldm: Path, stable_diffusion: Path) -> None:
    for path in (ldm, stable_diffusion):
        prior = load(path)
        z = random(1, 3, 4, 4, dtype=torch.float32).requires_grad_()
        (gradient,) = torch.autograd.grad(prior.decode(prior(z, torch.ones(1, 1, 1, 1)), (8, 8)).square().sum(), z)
        assert bool((gradient != 0).all())


def test_old_names_of_attention_and_half_precision(stable_diffusion: Path) -> None:
    prior, file = load(stable_diffusion), stable_diffusion / "vae/diffusion_pytorch_model.safetensors"
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(file).items():
        for now, before in old.items():
            if f".{now}.weight" in name:
                tensor = tensor[..., None, None]
            name = name.replace(f".{now}.", f".{before}.")
        tensors[name] = tensor.half()
    assert any(".proj_attn.weight" in name for name in tensors)
    save_file(tensors, file)
    x = torch.rand(1, 3, 8, 8)
    torch.testing.assert_close(load(stable_diffusion).encode(x), prior.encode(x), rtol=0.01, atol=1e-3)


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("vae/config.json", {"_class_name": "AutoencoderTiny"}, "whose autoencoder is a 'AutoencoderTiny'"),
        ("vae/config.json", {"layers_per_block": 10**9}, "1000000000 layers in each block"),
        ("vae/config.json", {"latent_channels": 4}, "a U-Net for 3 channels and an autoencoder of 4"),
        ("vae/config.json", {"block_out_channels": [8, 8]}, r"expected \("),
        (
            "unet/config.json",
            {"_class_name": "Transformer2DModel"},
            "model with a 'Transformer2DModel'",
        ),
        ("unet/config.json", {"addition_embed_type": "text_time"}, "needs more than a text"),
        ("unet/config.json", {"cross_attention_dim": 12}, r"expected \("),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "predicts 'flow'"),
        ("text_encoder/config.json", {"architectures": ["T5EncoderModel"]}, "of another kind than CLIP's: 'T5Encoder"),
        ("text_encoder/config.json", {"num_hidden_layers": 3}, "encoder.layers.2.* is missing"),
        ("text_encoder/config.json", {"num_hidden_layers": 10**9}, "1000000000 layers"),
        ("text_encoder/config.json", {"max_position_embeddings": 9}, r"is \(7, 16\), expected \(9, 16\)"),
    ],
)
def test_what_cannot_serve_is_said(file: str, changes: dict[str, Any], message: str, stable_diffusion: Path) -> None:
    edited(stable_diffusion / file, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_prior(stable_diffusion)
    assert "\n" not in caught.value.message + caught.value.hint


def test_what_is_missing_is_said(stable_diffusion: Path) -> None:
    for part, message in (
        ("text_encoder/model.safetensors", "has no model.safetensors"),
        ("text_encoder/config.json", "needs the embedding of an empty prompt, and has no text_encoder/config.json"),
        ("vae/config.json", "whose autoencoder is not there"),
    ):
        (stable_diffusion / part).unlink()
        with pytest.raises(InputError, match=message):
            load_prior(stable_diffusion)


def test_a_latent_model_of_the_hub(stable_diffusion: Path, tmp_path: Path) -> None:
    (stable_diffusion / "safety_checker.bin").write_bytes(b"x")
    with served(stable_diffusion) as address:
        found = prior_found("owner/name", tmp_path, HF_ENDPOINT=address, HF_HOME=str(tmp_path / "hub"))
    assert not (found / "safety_checker.bin").exists()
    x = torch.rand(1, 3, 8, 8)
    assert load(found).name == "owner/name"
    assert torch.equal(load(found).encode(x), load(stable_diffusion).encode(x))
