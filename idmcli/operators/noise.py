"""Noise, an option of sensing and not of the operator."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from idmcli.errors import InputError
from idmcli.operators.checks import check_seed


def add_noise(y: Tensor, sigma: float, seed: int) -> Tensor:
    """``y + n`` with independent Gaussian noise in every measured number.

    Args:
        y: measurements, real or complex.
        sigma: standard deviation of each real number. The real and the imaginary part of a complex y are two.
        seed: of a PCG64 generator; the noise does not depend on the device.

    Returns:
        the noisy measurements.

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


def count_photons(y: Tensor, photons: float, attenuation: float, seed: int) -> tuple[Tensor, float]:
    """``-log(N / N0) / mu``: line integrals from counted photons, N ~ Poisson(N0 exp(-mu y)).

    Half a photon is counted where none arrives.

    Args:
        y: line integrals, in pixels of value 1.
        photons: N0, sent along each ray, > 0.
        attenuation: mu, of a pixel of value 1, > 0.
        seed: of a generator of PyTorch's; the counts do not depend on the device.

    Returns:
        the noisy line integrals, and the standard deviation of their noise: the root mean square of
        ``1 / (mu sqrt(N))`` over the rays.

    Raises:
        InputError: the photons or the attenuation are not finite and > 0, or the seed is out of range.
    """
    for name, value in (("number of photons", photons), ("attenuation", attenuation)):
        if not (math.isfinite(value) and value > 0):
            raise InputError(f"the {name} is {value!r}", "it must be a number > 0")
    generator = torch.Generator().manual_seed(check_seed("noise seed", seed))
    counts = torch.poisson(photons * torch.exp(-attenuation * y.double()).cpu(), generator).clamp_min(0.5)
    deviation = float(counts.reciprocal().mean().sqrt()) / attenuation
    return (-torch.log(counts / photons) / attenuation).to(y), deviation
