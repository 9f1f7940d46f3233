"""The noise-estimator stage: its loss and its validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli.distributed import Processes
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.unet import UNetConfig
from idmcli.training.data import CropPool
from idmcli.training.prior import VALIDATION_SIGMAS, PriorStage

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


def loss_of(stage: PriorStage, model: Denoiser, iteration: int, numbers: Sequence[int]) -> tuple[Tensor, float]:
    return stage.loss(model, iteration, numbers, stage.draw(numbers))


@pytest.mark.parametrize(("name", "expected"), [("l1", math.sqrt(2 / math.pi)), ("l2", 1.0)])
def test_the_loss_is_the_error_of_the_unit_noise(name: str, expected: float) -> None:
    model = Known(CONFIG)
    assert loss_of(stage(name), model, 0, range(4))[0].item() < 1e-5
    model.factor = 0.0
    assert loss_of(stage(name), model, 0, range(64))[0].item() == pytest.approx(expected, rel=0.03)


def test_noise_levels_are_log_uniform() -> None:
    model = Known(CONFIG)
    loss_of(stage(), model, 0, range(2000))
    levels = model.levels[0].flatten().log().numpy()
    assert model.levels[0].shape == (2000, 1, 1, 1)
    assert levels.min() > math.log(0.01) and levels.max() < math.log(1.5)
    counts, _ = np.histogram(levels, 4, (math.log(0.01), math.log(1.5)))
    assert counts.min() > 420


def test_a_batch_depends_on_the_seed_and_its_numbers_alone() -> None:
    model, textured = Denoiser(CONFIG), stage(image=np.random.default_rng(0).random((1, 30, 30), dtype=np.float32))
    losses = [loss_of(textured, model, 0, numbers)[0].item() for numbers in (range(4), range(4, 8), range(4))]
    assert losses[0] == losses[2] != losses[1]
    assert loss_of(textured, model, 9, range(4))[0].item() == losses[0]
    assert loss_of(replace(textured, seed=1), model, 0, range(4))[0].item() != losses[0]


def test_processes_share_a_batch_without_changing_it() -> None:
    """The loss of a batch is the mean of the losses of its shares: the same crops, levels and noise."""
    model, textured = Denoiser(CONFIG), stage(image=np.random.default_rng(0).random((1, 30, 30), dtype=np.float32))
    whole = loss_of(textured, model, 3, Processes(CPU).crops(3, 8))[0]
    shares = [loss_of(textured, model, 3, Processes(CPU, rank, 4).crops(3, 8))[0] for rank in range(4)]
    torch.testing.assert_close(torch.stack(shares).mean(), whole)


def test_the_score_is_the_psnr_of_the_denoised_crops() -> None:
    model = Known(CONFIG)
    assert loss_of(stage(), model, 0, range(4))[1] > 100
    model.factor = 0.0  # d = r: the error is the noise
    _, score = loss_of(stage(), model, 0, range(200))
    assert score == pytest.approx(float(-20 * model.levels[-1].log10().mean()), abs=0.2)


def test_validation() -> None:
    model = Known(CONFIG)
    model.factor = 0.0
    found = stage().validate(model)
    scores = found.scores
    assert list(scores) == [f"psnr_sigma_{sigma}" for sigma in VALIDATION_SIGMAS]
    for sigma, score in zip(VALIDATION_SIGMAS, scores.values(), strict=True):
        assert score == pytest.approx(-20 * math.log10(sigma), abs=0.5)
    assert stage().validate(model).scores == scores
    assert list(found.pictures) == ["truth", "sigma 0.025", "sigma 0.1", "sigma 0.4"]
    torch.testing.assert_close(found.pictures["truth"], torch.from_numpy(GREY)[None])
    deviations = [float((x - 0.45).std()) for x in found.pictures.values()]  # the network did nothing: the noisy crops
    assert deviations == pytest.approx([0, 0.025, 0.1, 0.4], rel=0.1)
