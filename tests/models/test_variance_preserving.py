"""Noise estimators of diffusion models as denoisers: levels, times and predictions."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from diffusers import DDPMScheduler
from torch import Tensor, nn

from idmcli.models.variance_preserving import VariancePreserving, linear_schedule
from tests.small import random

ALPHAS = linear_schedule()


class Ideal(nn.Module):
    """Knows the picture x', and predicts by the definitions, from what it is shown and the time it is told."""

    def __init__(self, truth: Tensor, prediction: str) -> None:
        super().__init__()
        self.truth, self.prediction = truth, prediction
        self.config = SimpleNamespace(block_out_channels=(1, 1))
        self.times: list[Tensor] = []

    def forward(self, x_t: Tensor, t: Tensor) -> Any:
        self.times.append(t)
        ab = ALPHAS[t.round().long()].float().view(-1, 1, 1, 1)
        e = (x_t - ab.sqrt() * self.truth) / (1 - ab).sqrt()
        out = {"epsilon": e, "sample": self.truth, "v_prediction": ab.sqrt() * e - (1 - ab).sqrt() * self.truth}
        learned = torch.full_like(e, 7)  # the variance
        return SimpleNamespace(sample=torch.cat([out[self.prediction].expand_as(e), learned], 1))


def test_the_schedule_is_that_of_diffusers() -> None:
    torch.testing.assert_close(ALPHAS.float(), DDPMScheduler().alphas_cumprod, rtol=1e-4, atol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "sample", "v_prediction"])
def test_noise_of_a_level_in_0_1_is_that_of_its_time(prediction: Any) -> None:
    """r = x + sigma n is x_t = sqrt(ab) (2 x - 1) + sqrt(1 - ab) n after scaling, at the t where 2 sigma =
    sqrt((1 - ab) / ab)."""
    x, times = random(4, 3, 6, 8, dtype=torch.float32).sigmoid(), torch.tensor([0, 10, 500, 900])
    ab = ALPHAS[times].float().view(-1, 1, 1, 1)
    sigma = ((1 - ab) / ab).sqrt() / 2
    ideal = Ideal(2 * x - 1, prediction)
    denoiser = VariancePreserving(ideal, ALPHAS, prediction)
    r = x + sigma * random(*x.shape, seed=1, dtype=torch.float32)
    torch.testing.assert_close(denoiser(r, sigma), x, rtol=0, atol=2e-4)
    torch.testing.assert_close(ideal.times[0], times.float(), rtol=0, atol=0.02)


def test_times_lie_between_steps_and_within_the_schedule() -> None:
    denoiser = VariancePreserving(Ideal(torch.zeros(1), "epsilon"), ALPHAS)
    low, high = denoiser.noise_levels
    assert low == pytest.approx(math.sqrt(1e-4 / (1 - 1e-4)) / 2, rel=1e-4) and 70 < high < 90
    levels = ((1 - ALPHAS) / ALPHAS).sqrt().float()
    between = denoiser.time((levels[300] * levels[301]).sqrt())
    assert between == pytest.approx(300.5, abs=0.01)
    assert denoiser.time(torch.tensor([0.0, 1e-5, 1e5])).tolist() == [0, 0, 999]


def test_sides_that_the_network_cannot_halve_are_continued() -> None:
    x = random(1, 1, 7, 9, dtype=torch.float32).sigmoid()
    ideal = Ideal(torch.zeros(1, 1, 8, 10), "sample")
    assert VariancePreserving(ideal, ALPHAS, "sample")(x, torch.full((1, 1, 1, 1), 0.3)).shape == x.shape
