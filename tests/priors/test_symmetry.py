"""Priors under flips and quarter turns."""

from __future__ import annotations

from dataclasses import replace

import torch

from idmcli.models.turns import TURNS, turn
from idmcli.priors import averaged, turned
from idmcli.priors.symmetry import Turned
from tests.small import Gaussian, camera, random, shipped_prior

SIGMA = torch.full((1, 1, 1, 1), 0.1)


def noisy() -> torch.Tensor:
    return camera(48)[..., :32] + 0.1 * random(1, 1, 48, 32, dtype=torch.float32)


def test_each_step_sees_the_image_another_way_round() -> None:
    r, prior = noisy(), shipped_prior()
    outputs = [turned(prior, step)(r, SIGMA) for step in range(TURNS)]
    assert all(output.shape == r.shape for output in outputs)
    torch.testing.assert_close(turned(prior, TURNS)(r, SIGMA), prior(r, SIGMA))
    spread = torch.stack(outputs).std(0).mean()
    assert 1e-5 < spread < 0.02  # the network prefers one way, a little
    assert torch.equal(outputs[3], Turned(prior, (3,))(r, SIGMA))


def test_images_with_a_right_way_up_are_left_alone() -> None:
    prior = Gaussian(0.09)
    assert turned(prior, 3) is prior
    symmetric = Gaussian(0.09, domain=replace(prior.domain, symmetric=True))
    assert turned(symmetric, 3) is not symmetric


def test_the_mean_over_all_turns_is_as_good_any_way_round() -> None:
    r, prior = noisy(), averaged(shipped_prior())
    for number in (1, 6):
        torch.testing.assert_close(prior(turn(r, number), SIGMA), turn(prior(r, SIGMA), number), rtol=0, atol=1e-5)
