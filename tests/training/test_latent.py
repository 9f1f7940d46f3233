"""The latent stage: the loss of each part, what moves in it, and its validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from idmcli import learned
from idmcli.config import Config, TrainingConfig
from idmcli.learned.latent import LatentSettings
from idmcli.models.latent import LatentDiffusion
from idmcli.training.data import CropPool
from idmcli.training.latent import LatentStage
from idmcli.training.optimisers import learning_rate_factor
from idmcli.training.step import Step

CONFIG = Config(
    model=LatentSettings(channels=(8, 16), blocks=(1, 1), autoencoder=(8, 8), latent_channels=2),
    training=TrainingConfig(
        patch=16, iterations=20, autoencoder_iterations=5, warmup=2, optimizer="muon", kl_weight=0.01
    ),
)
IMAGES = [np.random.default_rng(number).random((1, 24, 20), dtype=np.float32) for number in range(3)]


def stage(config: Config = CONFIG) -> LatentStage:
    pool = CropPool(IMAGES, 16)
    return LatentStage(pool, pool, config, torch.device("cpu"))


def model(config: Config = CONFIG) -> LatentDiffusion:
    built = learned.build(config)
    assert isinstance(built, LatentDiffusion)
    return built


def test_everything_random_depends_on_the_number_of_a_crop() -> None:
    together, alone = stage().draw(range(4)), stage().draw([2])
    for part, of_one in zip(together, alone, strict=True):
        assert torch.equal(part[2:3], of_one)
    assert together.x.shape == (4, 1, 16, 16) and together.noise.shape == (4, 2, 8, 8) and together.time.shape == (4,)


@pytest.mark.parametrize("loss", ["l1", "l2"])
def test_the_loss_of_the_autoencoder(loss: str) -> None:
    config = replace(CONFIG, training=replace(CONFIG.training, loss=loss))
    network, drawn = model(config), stage(config).draw(range(4))
    found, score = stage(config).loss(network, 0, range(4), drawn)
    posterior = network.autoencoder.encode(2 * drawn.x - 1).latent_dist
    mean, deviation = posterior.mean, posterior.std
    decoded = (network.autoencoder.decode(mean + deviation * drawn.noise).sample + 1) / 2
    error = decoded - drawn.x
    divergence = (mean**2 + deviation**2 - 1 - 2 * deviation.log()).sum() / 2 / (4 * 16 * 16)
    expected = (error.abs().mean() if loss == "l1" else error.square().mean()) + 0.01 * divergence
    torch.testing.assert_close(found, expected)
    assert score == pytest.approx(float(-10 * error.detach().square().mean((1, 2, 3)).log10().mean()), abs=0.01)


def test_the_loss_of_the_estimator_is_the_error_of_the_unit_noise() -> None:
    network, drawn = model(), stage().draw(range(4))
    network.mean.fill_(0.2)
    network.std.fill_(0.5)
    found, _ = stage().loss(network, 5, range(4), drawn)
    z = (network.autoencoder.encode(2 * drawn.x - 1).latent_dist.mean - 0.2) / 0.5
    t = (1000 * drawn.time).long()
    ab = 1 / (1 + network.estimator.log_levels[t].exp() ** 2).view(-1, 1, 1, 1)
    e = network.estimator.unet(ab.sqrt() * z + (1 - ab).sqrt() * drawn.noise, t).sample
    torch.testing.assert_close(found, (e - drawn.noise).abs().mean(), rtol=1e-3, atol=1e-3)


def moved(step: Step, iterations: Sequence[int]) -> set[str]:
    """The parts of the model that these iterations change."""
    before = {name: tensor.clone() for name, tensor in step.model.state_dict().items()}
    for iteration in iterations:
        step.set_rates(iteration)
        numbers = range(2 * iteration, 2 * iteration + 2)
        loss, _ = step.gradients(stage().loss, [(iteration, numbers, stage().draw(numbers))], 1)
        assert step.update(loss)
    after = step.model.state_dict()
    return {name.split(".")[0] for name, tensor in before.items() if not torch.equal(tensor, after[name])}


def test_each_part_trains_its_own_network() -> None:
    step = Step(model(), CONFIG.training, restart=5)
    assert moved(step, range(5)) == {"autoencoder", "mean", "std"}
    assert moved(step, range(5, 8)) == {"estimator"}


def test_the_schedule_runs_for_each_part() -> None:
    training = replace(CONFIG.training, schedule="trapezoid")
    factors = [learning_rate_factor(training, iteration, restart=5) for iteration in range(20)]
    first, second = replace(training, iterations=5), replace(training, iterations=15)
    assert factors[:5] == [learning_rate_factor(first, iteration) for iteration in range(5)]
    assert factors[5:] == [learning_rate_factor(second, iteration) for iteration in range(15)]


def test_latents_are_standardised_by_what_training_sees() -> None:
    network = model()
    latents = 3 + 2 * torch.randn(64, 2, 8, 8, generator=torch.Generator().manual_seed(0))
    for _ in range(300):
        network.standardise_by(latents, 0.05)
    torch.testing.assert_close(network.mean, torch.full((2,), 3.0), rtol=0.05, atol=0)
    torch.testing.assert_close(network.std, torch.full((2,), 2.0), rtol=0.05, atol=0)
    network.standardise_by(torch.full_like(latents, torch.nan), 0.05)
    assert bool(network.mean.isfinite().all())


def test_validation_encodes_and_denoises_whole_crops() -> None:
    found = stage().validate(model().eval())
    assert list(found.scores) == ["psnr_autoencoder", "psnr_sigma_0.25", "psnr_sigma_1.0"]
    assert list(found.pictures) == ["truth", "autoencoder", "sigma 0.25", "sigma 1.0"]
