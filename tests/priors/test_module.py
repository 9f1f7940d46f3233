"""Modules that denoise images of a fixed number of channels as priors."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from idmcli.priors import Domain, ModulePrior
from tests.small import random


class Noting(nn.Module):
    """Halves images, and notes what it was called with."""

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        self.seen = x, sigma
        return x.double() / 2


def test_a_module_for_grey_images_takes_channels_one_by_one_with_their_levels() -> None:
    module, r = Noting(), random(2, 3, 4, 5, dtype=torch.float32)
    denoised = ModulePrior(module, "x", Domain(), (0.0, 1.0))(r, torch.tensor([0.1, 0.2, 0.3]).view(1, 3, 1, 1))
    assert torch.equal(denoised, r / 2) and denoised.dtype == r.dtype
    x, sigma = module.seen
    assert torch.equal(x, r.view(6, 1, 4, 5))
    assert torch.equal(sigma.flatten(), torch.tensor([0.1, 0.2, 0.3, 0.1, 0.2, 0.3]))


def test_a_module_for_colours_takes_the_root_mean_square_of_the_levels() -> None:
    module, r = Noting(), random(2, 3, 4, 5, dtype=torch.float32)
    prior = ModulePrior(module, "x", Domain(channels=3), (0.0, 1.0))
    assert torch.equal(prior(r, torch.tensor([0.1, 0.2]).view(2, 1, 1, 1)), r / 2)
    torch.testing.assert_close(module.seen[1], torch.tensor([0.1, 0.2]).view(2, 1, 1, 1))
    prior(r, torch.tensor([0.1, 0.2, 0.2]).view(1, 3, 1, 1))
    torch.testing.assert_close(module.seen[1], torch.full((2, 1, 1, 1), 0.03**0.5))
