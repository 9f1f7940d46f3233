"""Networks by configuration, and their start from trained weights."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from idmcli import learned
from idmcli.config import Config, TaskConfig, TrainingConfig, load_config
from idmcli.errors import ConfigError, InputError
from idmcli.learned.idm import IDMSettings
from idmcli.learned.prior import PriorSettings
from idmcli.learned.sr3 import SR3Settings
from idmcli.models import Learned, initialise
from idmcli.models.checkpoints import save_weights, shipped_weights
from idmcli.models.conditional import ConditionalDenoiser
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.sampler import InvertibleDiffusion, SamplerConfig
from idmcli.models.stable_diffusion import StableDiffusionConfig

PRIOR = Config(model=PriorSettings(channels=(8, 16), blocks=(1, 1)), training=TrainingConfig(patch=16))
END = replace(PRIOR, model=IDMSettings(channels=(8, 16), blocks=(1, 1), steps=2))
GIVEN = replace(PRIOR, model=SR3Settings(channels=(8, 16), blocks=(1, 1)))


def changed(config: Config = END, **model: Any) -> Config:
    return replace(config, model=replace(config.model, **model))


def randomised(config: Config) -> Learned:
    model = learned.build(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return model


def saved(model: Learned, path: Path) -> Path:
    save_weights(path / "init.safetensors", model, training={})
    return path / "init.safetensors"


def test_models() -> None:
    prior, sampler = learned.build(PRIOR), learned.build(changed(rule="matched", injector_kernel=3, v=0.4, step_v=0.6))
    assert isinstance(prior, Denoiser) and prior.config.unet.steps == 0
    assert isinstance(sampler, InvertibleDiffusion)
    unet = sampler.config.denoiser.unet
    assert (unet.steps, unet.injector_kernel, unet.v, unet.channels) == (2, 3, 0.4, (8, 16))
    assert (sampler.config.rule, sampler.config.v, unet.image_channels) == ("matched", 0.6, 1)
    bare = learned.build(changed(injectors=False))
    assert isinstance(bare, InvertibleDiffusion) and not bare.config.denoiser.unet.injectors
    assert len(list(bare.parameters())) < len(list(learned.build(END).parameters()))
    assert isinstance(learned.build(GIVEN), ConditionalDenoiser)
    colour = learned.build(replace(PRIOR, task=TaskConfig(channels=3)))
    assert isinstance(colour, Denoiser) and colour.config.unet.image_channels == 3


def test_weights_come_from_the_seed() -> None:
    torch.rand(3)
    first, again = learned.build(PRIOR), learned.build(PRIOR)
    other = learned.build(replace(PRIOR, training=TrainingConfig(seed=1)))
    assert isinstance(first, Denoiser) and isinstance(again, Denoiser) and isinstance(other, Denoiser)
    assert torch.equal(first.unet.conv_in.weight, again.unet.conv_in.weight)
    assert not torch.equal(first.unet.conv_in.weight, other.unet.conv_in.weight)


def test_channels_that_injectors_cannot_take() -> None:
    with pytest.raises(ConfigError, match="has 20 at scale 2: injectors need a multiple of 16 there"):
        learned.build(changed(channels=(8, 20)))
    learned.build(changed(PRIOR, channels=(7, 20)))  # a prior has no injectors


def test_a_prior_becomes_the_samplers_denoiser(tmp_path: Path) -> None:
    prior, sampler = randomised(PRIOR), learned.build(END)
    assert isinstance(prior, Denoiser) and isinstance(sampler, InvertibleDiffusion)
    start = initialise(sampler, saved(prior, tmp_path))
    own = [p for name, p in sampler.named_parameters() if not name.startswith("denoiser") or ".to_" in name]
    assert (start.tensors, start.own) == (len(list(prior.parameters())), len(own))
    assert start.parameters == sum(p.numel() for p in prior.parameters()) and start.unfit == start.differences == ()
    r, sigma = torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.2)
    torch.testing.assert_close(sampler.denoiser(r, sigma), prior(r, sigma))


@pytest.mark.parametrize("config", [PRIOR, END, GIVEN])
def test_a_network_that_infers_the_noise_level_starts_one_that_is_told(config: Config, tmp_path: Path) -> None:
    blind, told = randomised(config), learned.build(changed(config, noise_map=True))
    initialise(told, saved(blind, tmp_path))
    r, sigma, more = torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.2), []
    if isinstance(blind, ConditionalDenoiser):
        more = [torch.rand_like(r)]
    first, second = (model.denoiser if isinstance(model, InvertibleDiffusion) else model for model in (blind, told))
    torch.testing.assert_close(second(r, sigma, *more), first(r, sigma, *more))


def test_a_prior_that_is_told_the_noise_level_starts_any_network(tmp_path: Path) -> None:
    prior = randomised(changed(PRIOR, noise_map=True))
    assert isinstance(prior, Denoiser) and prior.inputs == 2
    file = saved(prior, tmp_path)
    r, sigma = torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.2)
    sampler, conditional = (learned.build(changed(kind, noise_map=True)) for kind in (END, GIVEN))
    assert isinstance(sampler, InvertibleDiffusion) and isinstance(conditional, ConditionalDenoiser)
    initialise(sampler, file)
    torch.testing.assert_close(sampler.denoiser(r, sigma), prior(r, sigma))
    initialise(conditional, file)
    torch.testing.assert_close(conditional(r, sigma, torch.rand_like(r)), prior(r, sigma))
    colour = learned.build(changed(replace(PRIOR, task=TaskConfig(channels=3)), noise_map=True))
    assert isinstance(colour, Denoiser)
    initialise(colour, file)
    alike = r.expand(-1, 3, -1, -1)
    torch.testing.assert_close(colour(alike, sigma)[1], prior(r, sigma)[1].expand(-1, 3, -1, -1))


@pytest.mark.parametrize("colour", [False, True])
def test_a_network_that_carries_features_starts_as_one_that_does_not(colour: bool, tmp_path: Path) -> None:
    task = TaskConfig(channels=3) if colour else None
    prior = randomised(changed(replace(PRIOR, task=task or PRIOR.task), noise_map=True))
    sampler = learned.build(changed(replace(END, task=task or END.task), noise_map=True, rule="splitting", carry=2))
    assert isinstance(prior, Denoiser) and isinstance(sampler, InvertibleDiffusion)
    file, channels = saved(prior, tmp_path), 3 if colour else 1
    r, sigma = torch.rand(1, channels, 16, 16), torch.full((1, 1, 1, 1), 0.2)
    features = torch.rand(1, channels, 2, 16, 16)
    seen = torch.cat([(r * torch.rsqrt(1 + sigma**2)).unsqueeze(2), features], 2).flatten(1, 2)
    initialise(sampler, file)
    found = sampler.denoiser.noise(seen, sigma).view(1, channels, 3, 16, 16)
    torch.testing.assert_close(found[:, :, 0], prior(r, sigma)[1])
    assert found[:, :, 1:].abs().max() > 1e-3  # of their own start, or training would never move them
    more = learned.build(changed(replace(END, task=task or END.task), noise_map=True, rule="splitting", carry=3))
    assert isinstance(more, InvertibleDiffusion)
    initialise(more, saved(sampler, tmp_path))
    torch.testing.assert_close(
        more.denoiser.noise(_with_more(seen, channels), sigma).view(1, channels, 4, 16, 16)[:, :, :3], found
    )


def test_a_full_size_network_that_carries_features_starts_as_one_that_does_not(tmp_path: Path) -> None:
    """The same for the architecture of Stable Diffusion, with fewer channels."""
    torch.manual_seed(0)
    prior = Denoiser(DenoiserConfig(StableDiffusionConfig(channels=(32, 64)), 0.0))
    config = DenoiserConfig(StableDiffusionConfig(steps=2, channels=(32, 64)), 0.0)
    sampler = InvertibleDiffusion(SamplerConfig(config, carry=2))
    initialise(sampler, saved(prior, tmp_path))
    r, sigma = torch.rand(1, 1, 16, 16), torch.full((1, 1, 1, 1), 0.2)
    seen = torch.cat([r * torch.rsqrt(1 + sigma**2), torch.rand(1, 2, 16, 16)], 1)
    torch.testing.assert_close(sampler.denoiser.noise(seen, sigma)[:, :1], prior(r, sigma)[1])


def _with_more(seen: torch.Tensor, channels: int) -> torch.Tensor:
    """The same input with one more image of features."""
    images = seen.unflatten(1, (channels, -1))
    return torch.cat([images, torch.rand_like(images[:, :, :1])], 2).flatten(1, 2)


def test_a_start_by_its_name() -> None:
    start = initialise(learned.build(load_config("prior-mri").config), "prior-grey")
    assert start.own == 0 and start.unfit == ()
    with pytest.raises(InputError, match="no weights file"):
        initialise(learned.build(PRIOR), "prior-gray")


@pytest.mark.parametrize("config", [PRIOR, END, GIVEN])
def test_the_same_kind(config: Config, tmp_path: Path) -> None:
    source, target = randomised(config), learned.build(config)
    initialise(target, saved(source, tmp_path))
    for name, tensor in source.state_dict().items():
        assert torch.equal(target.state_dict()[name], tensor)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        (END, PRIOR, "is of kind idm"),
        (GIVEN, PRIOR, "is of kind sr3"),
        (GIVEN, END, "is of kind sr3"),
        (END, GIVEN, "is of kind idm"),
        (changed(PRIOR, channels=(8, 32)), END, "tensors of other shapes"),
        (changed(PRIOR, blocks=(1, 2)), END, "is another network"),
        (PRIOR, changed(blocks=(1, 2)), "is another network"),
        (changed(steps=3), END, "--init"),
        (changed(rule="matched"), END, "is another network"),
        (changed(PRIOR, noise_map=True), END, "receives the noise level"),
        (changed(noise_map=True), END, "receives the noise level"),
        (replace(PRIOR, task=TaskConfig(channels=3)), END, "tensors of other shapes"),
    ],
)
def test_weights_of_another_network(source: Config, target: Config, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as caught:
        initialise(learned.build(target), saved(learned.build(source), tmp_path))
    assert "\n" not in caught.value.message and "init.safetensors" in caught.value.message


def test_ordinary_weights_load_without_diffusers() -> None:
    code = (
        "import sys; from pathlib import Path; from idmcli import learned; from idmcli.config import load_config;"
        "from idmcli.models.start import initialise;"
        "initialise(learned.build(load_config('prior-grey').config), Path(sys.argv[1]));"
        "sys.exit(bool({'diffusers', 'huggingface_hub', 'transformers'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code, str(shipped_weights("prior-grey"))]).returncode == 0
