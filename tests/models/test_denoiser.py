"""The noise estimator as a denoiser: any image, and the divergence that message passing needs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.turns import turn, turn_back
from idmcli.models.unet import UNetConfig


def tiny(image_channels: int = 1, steps: int = 0, *, noise_map: bool = False, injectors: bool = True) -> Denoiser:
    torch.manual_seed(0)
    unet = UNetConfig(image_channels, 2, (8, 16), (1, 1), steps, injectors=injectors)
    denoiser = Denoiser(DenoiserConfig(unet, noise_map=noise_map))
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


def test_a_noise_map_tells_the_level_beside_the_image() -> None:
    denoiser, r = tiny(noise_map=True), torch.randn(2, 1, 16, 16)
    sigma = torch.tensor([0.75, 0.2]).view(2, 1, 1, 1)
    seen = torch.cat([r * torch.rsqrt(1 + sigma**2), (sigma.log() / 4).expand_as(r)], 1)
    torch.testing.assert_close(denoiser(r, sigma)[1], denoiser.unet(seen))
    # the same image is seen, beside another map
    told = [denoiser(r / (1 + level(s) ** 2).rsqrt(), level(s, 2))[1] for s in (0.1, 0.2)]
    assert (told[0] - told[1]).abs().max() > 1e-3
    assert bool(denoiser(r, level(0.0, 2))[0].isfinite().all())


@pytest.mark.parametrize("number", range(8))
def test_a_noise_map_stays_with_its_channel_and_any_turn(number: int) -> None:
    denoiser, r = tiny(noise_map=True), torch.randn(1, 3, 13, 9)
    sigma = torch.tensor([0.1, 0.3, 0.9]).view(1, 3, 1, 1)
    e = denoiser(r, sigma, number=number)[1]
    single = [turn_back(denoiser(turn(r[:, c, None], number), sigma[:, c, None])[1], number) for c in range(3)]
    torch.testing.assert_close(e, torch.cat(single, 1))
    colour = tiny(3, noise_map=True)
    assert colour(r, level(0.2))[1].shape == r.shape
    seen = torch.stack([r * (1 + 0.04) ** -0.5, torch.full_like(r, 0.2).log() / 4], 2).flatten(1, 2)
    torch.testing.assert_close(colour(r, level(0.2))[1], colour.estimate(seen))


def test_a_noise_map_beside_injections() -> None:
    """They are images without a map."""
    denoiser, r, back = tiny(steps=1, noise_map=True), torch.randn(1, 3, 13, 9), torch.randn(1, 3, 13, 9)
    both = denoiser(r, level(0.2), Injection(0, back, lambda f: f / 2))[1]
    first = denoiser(r[:, :1], level(0.2), Injection(0, back[:, :1], lambda f: f / 2))[1]
    torch.testing.assert_close(both[:, :1], first)
    assert (both - denoiser(r, level(0.2))[1]).abs().max() > 1e-3


def test_without_injectors_measurements_are_not_asked_for() -> None:
    def never(f: Tensor) -> Tensor:
        raise AssertionError

    denoiser, r = tiny(steps=2, injectors=False), torch.randn(1, 1, 16, 16)
    assert not any(".to_" in name for name, _ in denoiser.named_parameters())
    torch.testing.assert_close(denoiser.estimate(r, Injection(1, r, never)), denoiser.estimate(r))
