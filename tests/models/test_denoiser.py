"""The noise estimator as a denoiser: any image, and the divergence that message passing needs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.denoiser import MAX_DIVERGENCE, Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.unet import UNetConfig


def tiny(image_channels: int = 1, steps: int = 0) -> Denoiser:
    torch.manual_seed(0)
    denoiser = Denoiser(DenoiserConfig(UNetConfig(image_channels, 2, (8, 16), (1, 1), steps)))
    for parameter in denoiser.parameters():
        if parameter.ndim > 1:
            nn.init.normal_(parameter, std=0.1)
    return denoiser.eval().requires_grad_(False)


def level(sigma: float, batch: int = 1) -> Tensor:
    return torch.full((batch, 1, 1, 1), sigma)


@pytest.mark.parametrize("size", [(32, 32), (33, 30), (1, 1), (3, 50), (2, 2)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size(size: tuple[int, int], channels: int) -> None:
    r = torch.randn(2, channels, *size)
    d, e = tiny()(r, level(0.3, 2))
    assert d.shape == e.shape == r.shape
    torch.testing.assert_close(d, r - 0.3 * e)


def test_padding_is_by_reflection_and_cut_off_again() -> None:
    denoiser, r = tiny(), torch.randn(1, 1, 30, 29)
    padded = nn.functional.pad(r, (0, 3, 0, 2), mode="reflect")
    torch.testing.assert_close(denoiser.estimate(r), denoiser.unet(padded)[..., :30, :29])


def test_colours_are_separate_images_for_a_grey_network() -> None:
    denoiser, r = tiny(), torch.randn(2, 3, 17, 16)
    single = torch.cat([denoiser(r[:, c : c + 1], level(0.1, 2))[0] for c in range(3)], 1)
    torch.testing.assert_close(denoiser(r, level(0.1, 2))[0], single)


def test_a_colour_network_mixes_the_channels() -> None:
    denoiser, r = tiny(3), torch.randn(1, 3, 16, 16)
    other = r.clone()
    other[:, 2] += 1
    assert (denoiser.estimate(r) - denoiser.estimate(other))[:, 0].abs().max() > 1e-3


def test_the_network_sees_unit_variance() -> None:
    denoiser, r = tiny(), torch.randn(1, 1, 16, 16)
    torch.testing.assert_close(denoiser(r, level(0.75))[1], denoiser.estimate(r / 1.25))


def test_injections_of_odd_colour_images() -> None:
    denoiser = tiny(steps=1)
    r, back = torch.randn(2, 3, 15, 18), torch.randn(2, 3, 15, 18)
    seen: list[tuple[int, ...]] = []

    def projection(image: Tensor) -> Tensor:
        seen.append(tuple(image.shape))
        return image * 0.5

    e = denoiser.estimate(r, Injection(0, back, projection))
    assert set(seen) == {(2, 3, 15, 18)}
    single = [denoiser.estimate(r[:, c, None], Injection(0, back[:, c, None], lambda f: f / 2)) for c in range(3)]
    torch.testing.assert_close(e, torch.cat(single, 1))


def divergence(denoiser: Denoiser, r: Tensor, sigma: Tensor, seed: int = 0) -> Tensor:
    """What the weight c = div / (1 - div) was made of."""
    c = denoiser.onsager(r, sigma, denoiser(r, sigma)[0], seed=seed)
    return c / (1 + c)


class Linear(Denoiser):
    """d = factor r, image by image."""

    factor: float | Tensor = 0.37

    def forward(self, r: Tensor, sigma: Tensor, injection: Injection | None = None) -> tuple[Tensor, Tensor]:
        d = self.factor * r
        return d, (r - d) / sigma


def test_the_weight_of_a_linear_denoiser() -> None:
    denoiser, r, sigma = Linear(tiny().config), torch.randn(3, 1, 16, 16), level(0.1, 3)
    c = denoiser.onsager(r, sigma, 0.37 * r)
    torch.testing.assert_close(c, torch.full((3, 1, 1, 1), 0.37 / 0.63), rtol=1e-3, atol=0)
    denoiser.factor = torch.tensor([0.1, 0.2, 0.5]).view(3, 1, 1, 1)
    torch.testing.assert_close(divergence(denoiser, r, sigma), denoiser.factor, rtol=1e-3, atol=0)


@pytest.mark.parametrize(("factor", "kept"), [(1.0, MAX_DIVERGENCE), (5.0, MAX_DIVERGENCE), (-0.2, -0.2)])
def test_the_weight_is_bounded_above_and_may_be_negative(factor: float, kept: float) -> None:
    denoiser = Linear(tiny().config)
    denoiser.factor = factor
    torch.testing.assert_close(divergence(denoiser, torch.randn(1, 1, 8, 8), level(0.1)), level(kept))


def test_a_noise_level_of_zero() -> None:
    c = Linear(tiny().config).onsager(r := torch.randn(1, 1, 8, 8), level(0.0), 0.37 * r)
    assert bool(c.isfinite().all())


def test_the_divergence_is_the_trace() -> None:
    denoiser, sigma = tiny().double(), level(0.2).double()
    denoiser.unet.conv_in.weight[:4, :, 1, 1] += 2 * torch.eye(4)  # so that d is well below r
    denoiser.unet.conv_out.weight[:, :4, 1, 1] += torch.eye(4)
    generator = torch.Generator().manual_seed(0)
    r = torch.randn(1, 1, 8, 8, generator=generator, dtype=torch.float64) * 0.2
    jacobian = torch.autograd.functional.jacobian(lambda r: denoiser(r, sigma)[0], r).reshape(64, 64)
    exact = jacobian.trace().item() / 64
    assert 0.1 < exact < 0.85
    estimates = [divergence(denoiser, r, sigma, seed).item() for seed in range(200)]
    assert abs(float(np.mean(estimates)) - exact) < 4 * float(np.std(estimates)) / math.sqrt(200) + 5e-3


def test_the_probe_depends_on_the_seed_alone() -> None:
    denoiser, r = tiny(), torch.rand(2, 1, 16, 16) - 0.45
    denoiser.unet.conv_out.weight.mul_(20)
    weights = [divergence(denoiser, r, level(0.5, 2), seed) for seed in (1, 1, 2)]
    assert weights[0].shape == (2, 1, 1, 1)
    assert torch.equal(weights[0], weights[1])


def test_a_colour_network_refuses_grey_images() -> None:
    unet = UNetConfig(image_channels=3, channels=(16,), blocks=(1,))
    with pytest.raises(InputError, match="this network is for colour images"):
        Denoiser(DenoiserConfig(unet)).estimate(torch.zeros(1, 1, 8, 8))
