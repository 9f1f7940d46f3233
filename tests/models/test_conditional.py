"""A noise estimator that sees the measurements: its inputs, its start from a prior, and its file."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idmcli.errors import InputError
from idmcli.models import ConditionalDenoiser, Denoiser, DenoiserConfig, UNetConfig, initialise, load_weights
from idmcli.models.checkpoints import kind_in, save_weights
from idmcli.models.stable_diffusion import StableDiffusionConfig
from tests.small import generator, random

SIGMA = torch.tensor([0.3, 1.2])[:, None, None, None]


def config(channels: int = 1) -> DenoiserConfig:
    return DenoiserConfig(UNetConfig(channels, channels=(4, 16), blocks=(1, 1)))


def filled(model: torch.nn.Module) -> None:
    """Every weight counts: the last convolutions of a new network are zero."""
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator()))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("size", [(16, 12), (9, 7)])
def test_it_splits_the_noisy_image_and_sees_the_other(channels: int, size: tuple[int, int]) -> None:
    model = ConditionalDenoiser(config(channels))
    filled(model)
    r, condition = (random(2, 3, *size, seed=seed, dtype=torch.float32) for seed in (0, 1))
    x0, e = model(r, SIGMA, condition)
    torch.testing.assert_close(x0 + SIGMA * e, r)
    assert (model(r, SIGMA, condition + 1)[1] - e).abs().max() > 1e-3
    turned = model(r.rot90(1, (2, 3)), SIGMA, condition.rot90(1, (2, 3)))[0].rot90(-1, (2, 3))
    torch.testing.assert_close(model(r, SIGMA, condition, 1)[0], turned)


def test_a_network_for_grey_images_takes_the_channels_one_by_one() -> None:
    model = ConditionalDenoiser(config())
    filled(model)
    r, condition = (random(2, 3, 16, 12, seed=seed, dtype=torch.float32) for seed in (0, 1))
    together = model(r, SIGMA, condition)[0]
    for channel in range(3):
        only = slice(channel, channel + 1)
        torch.testing.assert_close(together[:, only], model(r[:, only], SIGMA, condition[:, only])[0])
    with pytest.raises(InputError, match="for colour images"):
        ConditionalDenoiser(config(3))(r[:, :1], SIGMA, condition[:, :1])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("full", [False, True])
def test_it_starts_as_a_prior_that_sees_no_measurements(tmp_path: Path, channels: int, full: bool) -> None:
    shape = DenoiserConfig(StableDiffusionConfig(channels, channels=(32, 64)), 0.0) if full else config(channels)
    prior, model = Denoiser(shape), ConditionalDenoiser(shape)
    filled(prior)
    save_weights(tmp_path / "prior.safetensors", prior, training={})
    start = initialise(model, tmp_path / "prior.safetensors")
    assert start.own == 0 and start.parameters == sum(parameter.numel() for parameter in prior.parameters())
    r, condition = (random(2, channels, 16, 12, seed=seed, dtype=torch.float32) for seed in (0, 1))
    x0, e = model(r, SIGMA, condition)
    for ours, theirs in zip((x0, e), prior(r, SIGMA), strict=True):
        torch.testing.assert_close(ours, theirs)
    condition.requires_grad_()
    e.square().mean().backward()  # type: ignore[no-untyped-call]
    weight = model.denoiser.unet.conv_in.weight.grad
    assert weight is not None and bool((weight.flatten(2).abs().amax((0, 2)) > 0).all())  # it can learn to see it


def test_its_file_says_what_it_is(tmp_path: Path) -> None:
    model = ConditionalDenoiser(config())
    filled(model)
    file = tmp_path / "sr3.safetensors"
    save_weights(file, model, training={"iterations": 3}, trained_for={"task": "cs"})
    assert kind_in(file) == "sr3"
    loaded = load_weights(file)
    assert isinstance(loaded, ConditionalDenoiser)
    assert loaded.training_record == {"iterations": 3} and loaded.trained_for == {"task": "cs"}
    r = random(2, 1, 16, 12, dtype=torch.float32)
    torch.testing.assert_close(loaded(r, SIGMA, r)[0], model(r, SIGMA, r)[0])
    again = ConditionalDenoiser(config())
    assert initialise(again, file).own == 0
    torch.testing.assert_close(again(r, SIGMA, r)[0], model(r, SIGMA, r)[0])
    with pytest.raises(InputError, match="is of kind sr3") as caught:
        initialise(Denoiser(config()), file)
    assert caught.value.hint == "a prior starts from a prior"
