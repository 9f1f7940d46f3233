"""Injectors: Eqs. 6 and 7, the identity at the start, and measurements in full precision."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from idmcli.models.injector import Context, Injection, Injector


def projection(image: Tensor) -> Tensor:
    """A stand-in for A+ A: keeps every other column."""
    kept = torch.zeros(image.shape[-1])
    kept[::2] = 1
    return image * kept.to(image)


def measurements(step: int = 0, channels: int = 1, side: int = 8) -> Injection:
    generator = torch.Generator().manual_seed(3)
    return Injection(step, torch.randn(2, channels, side, side, generator=generator), projection)


def injection(step: int = 0, channels: int = 1) -> Context:
    return Context(measurements(step, channels))


def trained(*arguments: int, **options: int) -> Injector:
    torch.manual_seed(0)
    injector = Injector(*arguments, **options)
    for parameter in injector.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return injector


def test_an_untrained_injector_is_the_identity() -> None:
    features = torch.randn(2, 16, 4, 4)
    injector = Injector(16, 2, 3)
    assert torch.equal(injector(features, injection()), features)
    assert injector(features, Context()) is features
    assert not torch.equal(trained(16, 2, 3)(features, injection()), features)


@pytest.mark.parametrize("kernel", [1, 3])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_equation(kernel: int, channels: int) -> None:
    injector = trained(16, 2, 2, image_channels=channels, kernel=kernel)
    features, given = torch.randn(2, 16, 4, 4), measurements(1, channels)
    inner, outer = injector.to_image[1], injector.to_features[1]
    shuffled = features.reshape(2, 4, 2, 2, 4, 4).permute(0, 1, 4, 2, 5, 3).reshape(2, 4, 8, 8)
    f = F.conv2d(shuffled, inner.weight, inner.bias, padding=kernel // 2)
    stacked = torch.cat([f, projection(f), given.pinv], 1)
    added = F.conv2d(stacked, outer.weight, outer.bias, padding=kernel // 2)
    added = added.reshape(2, 4, 4, 2, 4, 2).permute(0, 1, 3, 5, 2, 4).reshape(2, 16, 4, 4)
    torch.testing.assert_close(injector(features, Context(given)), features + added)


def test_every_step_has_weights_of_its_own() -> None:
    injector, features = trained(4, 2, 3), torch.randn(2, 4, 4, 4)
    results = [injector(features, injection(step)) for step in range(3)]
    assert not torch.allclose(results[0], results[1]) and not torch.allclose(results[1], results[2])
    results[2].sum().backward()
    assert [conv.weight.grad is not None for conv in injector.to_image] == [False, False, True]


@pytest.mark.parametrize(("width", "scale", "steps", "channels", "kernel"), [(48, 2, 3, 1, 1), (64, 4, 2, 3, 3)])
def test_the_number_of_parameters(width: int, scale: int, steps: int, channels: int, kernel: int) -> None:
    injector = Injector(width, scale, steps, channels, kernel)
    n = width // scale**2
    one_step = (n * channels * kernel**2 + channels) + (3 * channels * n * kernel**2 + n)
    assert sum(parameter.numel() for parameter in injector.parameters()) == steps * one_step


def test_the_measurements_stay_in_float32_under_autocast() -> None:
    seen: list[Tensor] = []

    def watch(image: Tensor) -> Tensor:
        seen.extend([image, image @ torch.eye(8)])
        return image

    given = Context(measurements()._replace(range_projection=watch))
    with torch.autocast("cpu", torch.bfloat16):
        trained(4, 2, 1)(torch.randn(2, 4, 4, 4), given)
    assert [image.dtype for image in seen] == [torch.float32, torch.float32]


def test_measurements_seen_through_another_image_format() -> None:
    given = measurements(2)
    through = given.through(lambda image: F.pad(image, (0, 3)), lambda image: image[..., :-3])
    wide = torch.randn(2, 1, 8, 11)
    assert through.step == 2
    assert torch.equal(through.pinv, F.pad(given.pinv, (0, 3)))
    assert torch.equal(through.range_projection(wide), F.pad(projection(wide[..., :-3]), (0, 3)))
