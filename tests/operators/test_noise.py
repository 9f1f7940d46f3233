"""Noise of sensing."""

from __future__ import annotations

import pytest
import torch

from idmcli.errors import InputError
from idmcli.operators import add_noise


def test_level_and_seed() -> None:
    y = torch.zeros(4, 50_000)
    noisy = add_noise(y, 0.3, 1)
    assert noisy.dtype == y.dtype
    torch.testing.assert_close(noisy.std(1), torch.full((4,), 0.3), rtol=0.02, atol=0)
    assert torch.equal(noisy, add_noise(y, 0.3, 1))
    assert not torch.equal(noisy, add_noise(y, 0.3, 2))
    assert not torch.equal(noisy[0], noisy[1])
    assert torch.equal(add_noise(y, 0.0, 1), y)


def test_complex_noise_is_in_both_parts() -> None:
    noisy = add_noise(torch.ones(100_000, dtype=torch.complex64), 0.5, 0) - 1
    assert noisy.dtype == torch.complex64
    torch.testing.assert_close(noisy.real.std(), torch.tensor(0.5), rtol=0.02, atol=0)
    torch.testing.assert_close(noisy.imag.std(), torch.tensor(0.5), rtol=0.02, atol=0)
    assert abs(float((noisy.real * noisy.imag).mean())) < 0.01


@pytest.mark.parametrize("sigma", [-1.0, float("nan"), float("inf")])
def test_bad_level(sigma: float) -> None:
    with pytest.raises(InputError, match="noise level"):
        add_noise(torch.zeros(3), sigma, 0)


def test_bad_seed() -> None:
    with pytest.raises(InputError, match="noise seed"):
        add_noise(torch.zeros(3), 0.1, -1)
