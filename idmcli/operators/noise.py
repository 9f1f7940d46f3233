"""Noise, an option of sensing and not of the operator."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.spec import check_seed


def add_noise(y: Tensor, sigma: float, seed: int) -> Tensor:
    """``y + n`` with independent Gaussian noise in every measured number.

    Args:
        y: measurements, real or complex.
        sigma: standard deviation of each real number: of the real and of the imaginary part of a complex y.
        seed: of a PCG64 generator; the noise does not depend on the device.

    Raises:
        InputError: sigma is negative or not finite, or the seed is out of range.
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise InputError(f"the noise level is {sigma!r}", "it must be a number >= 0")
    generator = np.random.Generator(np.random.PCG64(check_seed("noise seed", seed)))
    parts = torch.view_as_real(y) if y.is_complex() else y
    noise = torch.from_numpy(generator.standard_normal(tuple(parts.shape))).to(parts)
    noisy = parts + sigma * noise
    return torch.view_as_complex(noisy) if y.is_complex() else noisy
