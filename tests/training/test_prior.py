"""The noise-estimator stage: its loss and its validation."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.unet import UNetConfig
from idmcli.training.data import CropPool
from idmcli.training.prior import VALIDATION_SIGMAS, PriorStage
from idmcli.training.world import World

CONFIG = DenoiserConfig(UNetConfig(channels=(4, 16), blocks=(1, 1)))
CPU = torch.device("cpu")
GREY = np.full((1, 16, 16), 0.45, dtype=np.float32)  # nothing but noise, once centred


class Known(Denoiser):
    """On the grey image: e is ``factor`` times the true noise."""

    factor = 1.0
    levels: list[Tensor]

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        self.levels = [*getattr(self, "levels", []), sigma]
        e = self.factor * r / sigma
        return r - sigma * e, e


def stage(loss: str = "l1", image: np.ndarray = GREY) -> PriorStage:
    pool = CropPool([image], 16)
    return PriorStage(pool, pool, 0.01, 1.5, loss, 0, CPU)


@pytest.mark.parametrize(("name", "expected"), [("l1", math.sqrt(2 / math.pi)), ("l2", 1.0)])
def test_the_loss_is_the_error_of_the_unit_noise(name: str, expected: float) -> None:
    model = Known(CONFIG)
    assert stage(name).loss(model, 0, range(4))[0].item() < 1e-5
    model.factor = 0.0
    assert stage(name).loss(model, 0, range(64))[0].item() == pytest.approx(expected, rel=0.03)


def test_noise_levels_are_log_uniform() -> None:
    model = Known(CONFIG)
    stage().loss(model, 0, range(2000))
    levels = model.levels[0].flatten().log().numpy()
    assert model.levels[0].shape == (2000, 1, 1, 1)
    assert levels.min() > math.log(0.01) and levels.max() < math.log(1.5)
    counts, _ = np.histogram(levels, 4, (math.log(0.01), math.log(1.5)))
    assert counts.min() > 420


def test_a_batch_depends_on_the_seed_and_its_numbers_alone() -> None:
    model, textured = Denoiser(CONFIG), stage(image=np.random.default_rng(0).random((1, 30, 30), dtype=np.float32))
    losses = [textured.loss(model, 0, numbers)[0].item() for numbers in (range(4), range(4, 8), range(4))]
    assert losses[0] == losses[2] != losses[1]
    assert textured.loss(model, 9, range(4))[0].item() == losses[0]
    assert replace(textured, seed=1).loss(model, 0, range(4))[0].item() != losses[0]


def test_processes_share_a_batch_without_changing_it() -> None:
    """The loss of a batch is the mean of the losses of its shares: the same crops, levels and noise."""
    model, textured = Denoiser(CONFIG), stage(image=np.random.default_rng(0).random((1, 30, 30), dtype=np.float32))
    whole = textured.loss(model, 3, World(CPU).share(3, 8))[0]
    shares = [textured.loss(model, 3, World(CPU, rank, 4).share(3, 8))[0] for rank in range(4)]
    torch.testing.assert_close(torch.stack(shares).mean(), whole)


def test_the_score_is_the_psnr_of_the_denoised_crops() -> None:
    model = Known(CONFIG)
    assert stage().loss(model, 0, range(4))[1] > 100
    model.factor = 0.0  # d = r: the error is the noise
    _, score = stage().loss(model, 0, range(200))
    assert score == pytest.approx(float(-20 * model.levels[-1].log10().mean()), abs=0.2)


def test_validation() -> None:
    model = Known(CONFIG)
    model.factor = 0.0
    scores = stage().validate(model)
    assert list(scores) == [f"psnr_sigma_{sigma}" for sigma in VALIDATION_SIGMAS]
    for sigma, score in zip(VALIDATION_SIGMAS, scores.values(), strict=True):
        assert score == pytest.approx(-20 * math.log10(sigma), abs=0.5)
    assert stage().validate(model) == scores
