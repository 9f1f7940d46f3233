"""Filtered back-projection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, cast

import torch
from torch import Generator, Tensor

from idmcli.operators import Problem, Tomography
from idmcli.solvers import Progress, Solver

Window = Literal["ram-lak", "shepp-logan", "cosine", "hamming", "hann"]

WINDOWS: Mapping[Window, Callable[[Tensor], Tensor]] = {  # of frequencies in radians per detector, 0 .. pi
    "ram-lak": torch.ones_like,
    "shepp-logan": lambda w: torch.sinc(w / (2 * math.pi)),
    "cosine": lambda w: torch.cos(w / 2),
    "hamming": lambda w: 0.54 + 0.46 * torch.cos(w),
    "hann": lambda w: 0.5 + 0.5 * torch.cos(w),
}


@dataclass(frozen=True)
class FbpOptions:
    """Options of :func:`fbp`."""

    window: Window = "ram-lak"  # window of the ramp filter; later ones in the list damp more noise


def fbp(problem: Problem, prior: None, options: FbpOptions, generator: Generator, progress: Progress) -> Tensor:
    """``sum_t f_t(c cos t - r sin t)`` with the filtered views f, each weighted by the angle that it stands for.

    For a fan beam, the rays are weighted before the filter, and the views again when they are smeared over the image.
    """
    operator = cast(Tomography, problem.operator)
    weights = torch.from_numpy(operator.ray_weights).to(problem.y)
    return operator.smear(ramp_filter(weights * problem.y, options.window))


def ramp_filter(y: Tensor, window: Window) -> Tensor:
    """Convolve the last axis with the band-limited ramp (Kak & Slaney, 1988, Eq. 3.61), windowed."""
    detectors = y.shape[-1]
    size = max(64, 2 ** math.ceil(math.log2(2 * detectors)))
    n = torch.fft.fftfreq(size, 1 / size, dtype=torch.float64).round()
    kernel = torch.where(n % 2 == 1, -1 / (math.pi * torch.where(n == 0, 1, n)) ** 2, 0)
    kernel[0] = 0.25
    frequency = 2 * math.pi * torch.fft.rfftfreq(size, dtype=torch.float64)
    response = torch.fft.rfft(kernel).real * WINDOWS[window](frequency)
    filtered: Tensor = torch.fft.irfft(torch.fft.rfft(y, n=size) * response.to(y), n=size)
    return filtered[..., :detectors]


SOLVER = Solver(
    "fbp",
    "filtered back-projection (Kak & Slaney, 1988)",
    fbp,
    needs=frozenset({"linear", "rays"}),
    options=FbpOptions,
    meets=frozenset(),
)
