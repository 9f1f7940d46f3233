"""Sampling along the singular vectors: against null-space sampling, and with known noise."""

from __future__ import annotations

import pytest
import torch

from idmcli import solvers
from idmcli.metrics import psnr
from idmcli.operators import CompressedSensing, add_noise
from tests.small import OPERATORS, Gaussian, camera, picture, run, shipped_prior

SPECTRAL = [name for name, operator in OPERATORS.items() if not solvers.why_not(solvers.find("ddrm"), operator)]


def test_it_is_for_operators_with_a_spectrum() -> None:
    assert {"cs-global", "cs-global-padded", "inpainting-random"} <= set(SPECTRAL)
    assert "ct" not in SPECTRAL and "mri-radial" not in SPECTRAL


@pytest.mark.parametrize("name", SPECTRAL)
def test_with_fresh_noise_alone_it_is_null_space_sampling(name: str) -> None:
    """Without measurement noise and with eta = 1 both replace what was measured and draw the rest anew."""
    operator = OPERATORS[name]
    y = operator.A(picture(operator))
    ours, theirs = (run(method, operator, y, Gaussian(0.09), seed=3, steps=5, eta=1.0) for method in ("ddrm", "ddnm"))
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-6)


def test_measurements_are_met_without_noise() -> None:
    operator = OPERATORS["cs-global"]
    y = operator.A(picture(operator))
    found = run("ddrm", operator, y, Gaussian(0.09), steps=4)
    assert (operator.A(found) - y).abs().max() < 1e-6


def test_known_noise_is_removed() -> None:
    x, operator = camera(64), CompressedSensing((1, 64, 64), 0.6)
    y = add_noise(operator.A(x), 0.1, 0)
    told, untold = (psnr(run("ddrm", operator, y, shipped_prior(), noise=level, steps=8), x) for level in (0.1, 0.0))
    assert told > untold + 1
