"""Diffusion models in the folders of diffusers."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import DDIMScheduler, DDPMPipeline, DDPMScheduler, ScoreSdeVeScheduler, UNet2DModel
from safetensors.torch import load_file

from idmcli.errors import InputError
from idmcli.priors import ModulePrior, load_prior
from idmcli.priors.published.diffusers_folders import model_name
from tests.hub import prior_found, served
from tests.priors.test_formats import recognised
from tests.small import random

Change = Callable[[dict[str, Any]], object]
UNET = {
    "block_out_channels": (8, 16),
    "layers_per_block": 1,
    "norm_num_groups": 4,
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "attention_head_dim": None,
}
PUBLISHED = {  # google/ddpm-ema-celebahq-256
    "block_out_channels": (128, 128, 256, 256, 512, 512),
    "down_block_types": ("DownBlock2D",) * 4 + ("AttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "AttnUpBlock2D") + ("UpBlock2D",) * 4,
    "attention_head_dim": None,
}


def unet(**changes: Any) -> UNet2DModel:
    torch.manual_seed(0)
    model = UNet2DModel(**(UNET | changes)).eval()
    with torch.no_grad():
        model.conv_out.bias.fill_(0.1)
    return model


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model folder of diffusers."""
    DDPMPipeline(unet(), DDPMScheduler()).save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def load(path: Path) -> ModulePrior:
    prior = load_prior(path)
    assert isinstance(prior, ModulePrior)
    return prior


def test_the_published_model_has_114_million_parameters() -> None:
    with torch.device("meta"):
        assert sum(p.numel() for p in UNet2DModel(**PUBLISHED).parameters()) == 113_673_219


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
@pytest.mark.parametrize("learned", [False, True])
def test_it_denoises_as_diffusers_does(prediction: str, learned: bool, tmp_path: Path) -> None:
    """One DDIM step to the end is the estimate of the picture."""
    model = unet(out_channels=6 if learned else 3)
    scheduler = DDIMScheduler(
        beta_schedule="squaredcos_cap_v2", prediction_type=prediction, clip_sample=False, num_train_timesteps=500
    )
    DDPMPipeline(model, scheduler).save_pretrained(tmp_path / "model")
    prior = load(tmp_path / "model")
    scheduler.set_timesteps(500)
    ab = scheduler.alphas_cumprod[200]
    sigma = ((1 - ab) / ab).sqrt() / 2
    r = random(1, 3, 8, 8, dtype=torch.float32)
    x_t = (2 * r - 1) * ab.sqrt()
    with torch.no_grad():
        out = model(x_t, 200).sample[:, :3]
    expected = (scheduler.step(out, 200, x_t).pred_original_sample + 1) / 2
    torch.testing.assert_close(prior(r, sigma.view(1, 1, 1, 1)), expected, rtol=0, atol=1e-3)


def test_what_it_says_of_itself(folder: Path) -> None:
    prior = load(folder)
    assert recognised(folder) == recognised(folder / "unet") == ["diffusers-pixels"]
    assert (prior.name, prior.domain.channels, prior.domain.symmetric) == ("model", 3, False)
    assert prior.noise_levels == pytest.approx((0.005, 78.7), rel=1e-3)
    assert model_name(Path("/x/hub/models--google--ddpm/snapshots/0123")) == "google/ddpm"
    assert load(folder / "unet").noise_levels == prior.noise_levels


def test_flat_folders_pickles_and_old_names_of_attention(folder: Path, tmp_path: Path) -> None:
    flat = tmp_path / "flat"
    flat.mkdir()
    for file in ("unet/config.json", "scheduler/scheduler_config.json", "model_index.json"):
        (flat / Path(file).name).write_bytes((folder / file).read_bytes())
    old = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for name, tensor in load_file(folder / "unet" / "diffusion_pytorch_model.safetensors").items():
        for now, before in old.items():
            name = name.replace(f".{now}.", f".{before}.")
        tensors[name] = tensor
    assert any(".proj_attn." in name for name in tensors)
    torch.save(tensors, flat / "diffusion_pytorch_model.bin")
    r, sigma = random(1, 3, 8, 8, dtype=torch.float32), torch.full((1, 1, 1, 1), 0.2)
    assert torch.equal(load(flat)(r, sigma), load(folder)(r, sigma))


def test_a_model_of_the_hub_is_downloaded_once(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "model" / "unused.bin").write_bytes(b"x")
    with served(folder) as address:
        here = {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path / "hub")}
        found = prior_found("owner/name", tmp_path, **here)
        assert (model_name(found), load(found).name) == ("owner/name", "owner/name")
        assert not (found / "unused.bin").exists()
        edited(folder / "model_index.json", vae=["diffusers", "AutoencoderKL"])
        with pytest.raises(AssertionError, match="has no vae/config.json on the Hugging Face hub"):
            prior_found("owner/name", tmp_path, HF_ENDPOINT=address, HF_HOME=str(tmp_path / "other"))
    assert not any(path.suffix == ".safetensors" for path in (tmp_path / "other").rglob("*"))
    assert prior_found("owner/name", tmp_path, HF_HUB_OFFLINE="1", HF_HOME=str(tmp_path / "hub")) == found


def edited(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "model_index.json",
            {"vqvae": ["diffusers", "VQModel"]},
            "latent diffusion model whose autoencoder is not there",
        ),
        ("unet/config.json", {"_class_name": "UNet2DConditionModel"}, "describes a 'UNet2DConditionModel'"),
        ("unet/config.json", {"num_class_embeds": 10}, "needs the class of the image"),
        ("unet/config.json", {"time_embedding_type": "fourier"}, "embeds another time"),
        ("unet/config.json", {"layers_per_block": 10**9}, "1000000000 layers in each block"),
        ("unet/config.json", {"down_block_types": ["Evil", "DownBlock2D"]}, "no network that can be built"),
        ("unet/config.json", {"block_out_channels": [8, 32]}, r"is \(16, .* expected \(32, "),
        ("unet/config.json", {"layers_per_block": 2}, "down_blocks.0.resnets.1.norm1.weight is missing"),
        ("unet/config.json", {"in_channels": 4}, r"conv_in.weight is \(8, 3, 3, 3\), expected \(8, 4, 3, 3\)"),
        ("scheduler/scheduler_config.json", {"prediction_type": "flow"}, "predicts 'flow'"),
        ("scheduler/scheduler_config.json", {"beta_schedule": "none"}, "a schedule that cannot be read"),
        ("scheduler/scheduler_config.json", {"num_train_timesteps": 10**12}, "a schedule of 1000000000000 steps"),
        ("scheduler/scheduler_config.json", {"beta_start": 0, "beta_end": 0}, "whose noise does not grow"),
    ],
)
def test_what_cannot_serve_is_said(file: str, changes: dict[str, Any], message: str, folder: Path) -> None:
    edited(folder / file, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_prior(folder)
    assert "\n" not in caught.value.message + caught.value.hint


def test_what_is_missing_or_damaged_is_said(folder: Path) -> None:
    ScoreSdeVeScheduler().save_pretrained(folder / "scheduler")
    with pytest.raises(InputError, match="a 'ScoreSdeVeScheduler', which has no betas"):
        load_prior(folder)
    (folder / "scheduler" / "scheduler_config.json").write_text("[1")
    with pytest.raises(InputError, match=r"scheduler_config.json' is damaged"):
        load_prior(folder)
    (folder / "scheduler" / "scheduler_config.json").unlink()
    with pytest.raises(InputError, match="has no scheduler/scheduler_config.json"):
        load_prior(folder)
    DDPMScheduler().save_pretrained(folder / "scheduler")
    (folder / "unet" / "diffusion_pytorch_model.safetensors").write_bytes(b"torn")
    with pytest.raises(InputError, match="not a readable weights file"):
        load_prior(folder)
    (folder / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    with pytest.raises(InputError, match="has no diffusion_pytorch_model.safetensors"):
        load_prior(folder)


def test_a_schedule_that_ends_in_pure_noise_ends_before(folder: Path) -> None:
    edited(folder / "scheduler" / "scheduler_config.json", rescale_betas_zero_snr=True)
    assert 10 < load(folder).noise_levels[1] < 1e5
