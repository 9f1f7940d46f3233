"""The noise estimator as a denoiser: any image, and the divergence that message passing needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.turns import turn, turn_back
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


def test_a_turn_is_of_the_image_and_of_the_measurements() -> None:
    """The network must not see upright measurements beside a turned image."""
    denoiser, x, back, mask = tiny(steps=1), torch.randn(1, 1, 12, 16), torch.randn(1, 1, 12, 16), torch.rand(12, 16)
    turned = Injection(0, turn(back, 5), lambda f: turn(turn_back(f, 5) * mask, 5))
    expected = turn_back(denoiser.estimate(turn(x, 5), turned), 5)
    torch.testing.assert_close(denoiser.estimate(x, Injection(0, back, lambda f: f * mask), number=5), expected)
    assert (expected - denoiser.estimate(x, Injection(0, back, lambda f: f * mask))).abs().max() > 1e-3


def test_the_ensemble_is_as_good_any_way_round() -> None:
    denoiser, x, back = tiny(steps=1), torch.randn(1, 1, 12, 16), torch.randn(1, 1, 12, 16)
    denoiser.ensemble = True
    e = denoiser.estimate(x, Injection(0, back, lambda f: f / 2))
    for number in (1, 6):
        there = denoiser.estimate(turn(x, number), Injection(0, turn(back, number), lambda f: f / 2))
        torch.testing.assert_close(there, turn(e, number))
