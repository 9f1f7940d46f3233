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

CONFIG = DenoiserConfig(UNetConfig(channels=(4, 16), blocks=(1, 1)))
GREY = np.full((1, 16, 16), 0.45, dtype=np.float32)  # nothing but noise, once centred


class Known(Denoiser):
    """On the grey image: e is ``factor`` times the true noise."""

    factor = 1.0
    levels: list[Tensor]

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        self.levels = [*getattr(self, "levels", []), sigma]
        e = self.factor * r / sigma
        return r - sigma * e, e


def stage(loss: str = "l1", batch: int = 4, image: np.ndarray = GREY) -> PriorStage:
    pool = CropPool([image], 16)
    return PriorStage(pool, pool, batch, 0.01, 1.5, loss, 0, torch.device("cpu"))


@pytest.mark.parametrize(("name", "expected"), [("l1", math.sqrt(2 / math.pi)), ("l2", 1.0)])
def test_the_loss_is_the_error_of_the_unit_noise(name: str, expected: float) -> None:
    model = Known(CONFIG)
    assert stage(name).loss(model, 0)[0].item() < 1e-5
    model.factor = 0.0
    assert stage(name, 64).loss(model, 0)[0].item() == pytest.approx(expected, rel=0.03)


def test_noise_levels_are_log_uniform() -> None:
    model = Known(CONFIG)
    stage(batch=2000).loss(model, 0)
    levels = model.levels[0].flatten().log().numpy()
    assert model.levels[0].shape == (2000, 1, 1, 1)
    assert levels.min() > math.log(0.01) and levels.max() < math.log(1.5)
    counts, _ = np.histogram(levels, 4, (math.log(0.01), math.log(1.5)))
    assert counts.min() > 420


def test_a_batch_depends_on_seed_and_iteration_alone() -> None:
    model = Denoiser(CONFIG)
    losses = [stage().loss(model, iteration)[0].item() for iteration in (3, 4, 3)]
    assert losses[0] == losses[2] != losses[1]
    assert replace(stage(), seed=1).loss(model, 3)[0].item() != losses[0]


def test_the_score_is_the_psnr_of_the_denoised_crops() -> None:
    model = Known(CONFIG)
    assert stage().loss(model, 0)[1] > 100
    model.factor = 0.0  # d = r: the error is the noise
    batch = stage(batch=200)
    _, score = batch.loss(model, 0)
    assert score == pytest.approx(float(-20 * model.levels[-1].log10().mean()), abs=0.2)


def test_validation() -> None:
    model = Known(CONFIG)
    model.factor = 0.0
    scores = stage().validate(model)
    assert list(scores) == [f"psnr_sigma_{sigma}" for sigma in VALIDATION_SIGMAS]
    for sigma, score in zip(VALIDATION_SIGMAS, scores.values(), strict=True):
        assert score == pytest.approx(-20 * math.log10(sigma), abs=0.5)
    assert stage().validate(model) == scores
