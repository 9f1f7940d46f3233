"""Priors beyond what they were trained for."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from idmcli.priors import Domain, Grey, with_fallback
from tests.small import Gaussian, random

LOW = Gaussian(0.09, "low", noise_levels=(0.05, 0.3))
ALL = Gaussian(0.01, "all", noise_levels=(0.004, 1.5))


def levels(*sigma: float) -> torch.Tensor:
    return torch.tensor(sigma).view(-1, 1, 1, 1)


def test_another_prior_takes_over_beyond_the_levels_and_says_so() -> None:
    said: list[str] = []
    prior = with_fallback(LOW, ALL, said.append)
    r = random(4, 1, 3, 3, dtype=torch.float32)
    inside = levels(0.05, 0.1, 0.2, 0.3)
    assert torch.equal(prior(r, inside), LOW(r, inside)) and not said
    outside = levels(0.01, 0.4, 1.0, 1.5)
    assert torch.equal(prior(r, outside), ALL(r, outside)) and len(said) == 1
    assert said[0] == "the prior low was trained for noise levels from 0.05 to 0.3; beyond them all takes over"
    mixed = levels(0.01, 0.1, 0.3005, 0.31)  # the third is near enough
    expected = torch.stack([ALL(r, mixed)[0], LOW(r, mixed)[1], LOW(r, mixed)[2], ALL(r, mixed)[3]])
    torch.testing.assert_close(prior(r, mixed), expected)
    assert (prior.name, prior.domain, prior.noise_levels) == ("low", LOW.domain, (0.004, 1.5))


def test_levels_that_neither_was_trained_for_are_no_reason() -> None:
    wide = Gaussian(0.09, "wide", noise_levels=(0.005, 78))
    r, sigma = random(2, 1, 3, 3, dtype=torch.float32), levels(0.001, 100)
    assert torch.equal(with_fallback(wide, ALL, lambda text: None)(r, sigma), wide(r, sigma))
    assert with_fallback(Gaussian(0.1), ALL, lambda text: None) == Gaussian(0.1)  # it has all levels itself


def test_the_channels_of_a_colour_image_stay_together() -> None:
    colour = Gaussian(0.09, "colour", Domain(channels=3), (0.05, 0.3))
    r, sigma = random(1, 3, 4, 4, dtype=torch.float32), torch.tensor([0.2, 0.29, 0.4]).view(1, 3, 1, 1)
    torch.testing.assert_close(with_fallback(colour, ALL, lambda text: None)(r, sigma), ALL(r, sigma))
    grey = with_fallback(LOW, ALL, lambda text: None)(r, sigma)
    torch.testing.assert_close(grey, torch.cat([LOW(r, sigma)[:, :2], ALL(r, sigma)[:, 2:]], 1))


class Mixing(Gaussian):
    """A colour prior whose channels differ."""

    def __call__(self, r: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        assert r.shape[1] == 3 and torch.equal(r[:, 0], r[:, 2])
        return r * torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1) + sigma


def test_a_colour_prior_takes_a_grey_image_in_three_channels() -> None:
    prior = Grey(Mixing(0.1, "mixing", Domain(channels=3, mean=0.4, symmetric=True)))
    assert prior.domain == Domain(1, 0.4, True)
    r = random(2, 2, 4, 5, dtype=torch.float32)
    sigma = torch.tensor([[0.1, 0.2], [0.3, 0.4]]).view(2, 2, 1, 1)
    torch.testing.assert_close(prior(r, sigma), 3 * r + 3**0.5 * sigma)
    assert prior.noise_levels == (0, 10 / 3**0.5)


@dataclass(frozen=True)
class Correlated(Gaussian):
    """The best denoiser of images whose channels are mostly alike: ``x = mean + sqrt(power) (n, n, n) + 0.1 n_c``."""

    def __call__(self, r: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        covariance = self.power * torch.ones(3, 3) + 0.01 * torch.eye(3)
        gain = covariance @ torch.linalg.inv(covariance + sigma.view(-1, 1, 1) ** 2 * torch.eye(3))
        return self.domain.mean + torch.einsum("bij,bjhw->bihw", gain, r - self.domain.mean)


def test_its_level_is_that_of_the_noise_that_three_equal_channels_share() -> None:
    """Of a Gaussian prior for colours the best denoiser of grey images follows, and it is met."""
    prior = Correlated(0.09, "correlated", Domain(channels=3, mean=0.4))
    r, sigma = random(1, 1, 4, 4, dtype=torch.float32), levels(0.2)
    power = 0.09 + 0.01 / 3  # of the mean of the channels
    torch.testing.assert_close(Grey(prior)(r, sigma), 0.4 + power / (power + 0.04) * (r - 0.4))
