"""White noise from a generator."""

from __future__ import annotations

import torch

from idmcli.numerics.noise import normal_like
from tests.small import generator


def test_white_noise_follows_the_generator_alone() -> None:
    x = torch.zeros(4, 1, 100, 100)
    first = normal_like(x, generator(3))
    assert first.shape == x.shape and abs(float(first.std()) - 1) < 0.01 and abs(float(first.mean())) < 0.02
    assert torch.equal(first, normal_like(x + 7, generator(3))) and not torch.equal(first, normal_like(x, generator(4)))
    torch.testing.assert_close(normal_like(x.double(), generator(3)), first.double())


def test_every_real_number_of_complex_noise_has_unit_variance() -> None:
    x = torch.zeros(4, 1, 100, 100, dtype=torch.complex128)
    noise = normal_like(x, generator(3))
    assert noise.dtype == x.dtype and noise.shape == x.shape
    assert abs(float(noise.real.std()) - 1) < 0.02 and abs(float(noise.imag.std()) - 1) < 0.02
    assert abs(float((noise.real * noise.imag).mean())) < 0.02


def test_one_generator_goes_on() -> None:
    source, x = generator(0), torch.zeros(1, 1, 50, 50)
    first, second = normal_like(x, source), normal_like(x, source)
    assert abs(float((first * second).mean())) < 0.1
