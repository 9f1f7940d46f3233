"""Receive coils as a whole: decorrelation of their noise, fewer virtual ones, and simple maps."""

from __future__ import annotations

import torch
from torch import Tensor

KEPT = 0.999  # of the energy, that virtual coils hold


def whitening(noise: Tensor) -> tuple[Tensor, float]:
    """W with ``W C W^H = s^2 I`` for the covariance ``C = L L^H`` of the coils' noise: ``W = s L^-1``.

    ``s^2 = tr C / coils``, so that numbers keep their unit.

    Args:
        noise: complex, (coils, N), N > coils.

    Returns:
        W, (coils, coils), and the standard deviation ``s / sqrt 2`` of real and imaginary parts.
    """
    centred = (noise - noise.mean(1, keepdim=True)).to(torch.complex128)
    covariance = centred @ centred.mH / noise.shape[1]
    power = float(covariance.diagonal().real.mean())
    identity = torch.eye(len(noise), dtype=covariance.dtype)
    inverse = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), identity, upper=False)
    return (power**0.5 * inverse).to(noise.dtype), (power / 2) ** 0.5


def virtual_coils(calibration: Tensor, count: int | None = None) -> Tensor:
    """The combinations of coils that hold most of the energy, (count, coils), orthonormal (Buehrer et al., 2007).

    Args:
        calibration: complex, (coils, h, w).
        count: their number; if it is None, as many as hold ``KEPT`` of the energy.
    """
    samples = calibration.flatten(1)
    energies, combinations = torch.linalg.eigh(samples @ samples.mH)
    energies, combinations = energies.flip(0).clamp_min(0), combinations.flip(1)
    held = energies.cumsum(0) / energies.sum()
    enough = int((held < KEPT).sum()) + 1 if count is None else count
    strongest: Tensor = combinations[:, : min(enough, len(samples))]
    return strongest.mH.contiguous()


def combined(matrix: Tensor, samples: Tensor) -> Tensor:
    """Combinations of coils: (count, coils) times (coils, ...)."""
    mixed: Tensor = torch.tensordot(matrix, samples, 1)
    return mixed


def aligned(maps: Tensor, calibration: Tensor) -> Tensor:
    """Maps whose phase is that against the strongest virtual coil, so that the image has this coil's smooth phase."""
    reference = combined(virtual_coils(calibration, 1), maps)
    return maps * torch.exp(-1j * reference.angle())


def low_resolution_maps(calibration: Tensor, shape: tuple[int, int]) -> Tensor:
    """Maps ``S_c = m_c / sqrt(sum_c |m_c|^2)`` of images m of the centre of k-space alone (McKenzie et al., 2002).

    Args:
        calibration: complex, (coils, h, w), the fully sampled centre of k-space, which is tapered by Hann windows.
        shape: (H, W) of the maps.

    Returns:
        complex, (coils, H, W), of images with the origin at (H // 2, W // 2).
    """
    coils, height, width = calibration.shape
    rows, columns = (torch.hann_window(n + 2, periodic=False)[1:-1] for n in (height, width))
    full = calibration.new_zeros(coils, *shape)
    top, left = shape[0] // 2 - height // 2, shape[1] // 2 - width // 2
    full[:, top : top + height, left : left + width] = calibration * rows[:, None] * columns
    images = torch.fft.fftshift(torch.fft.ifft2(torch.fft.ifftshift(full, (1, 2))), (1, 2))
    maps: Tensor = images / images.norm(dim=0).clamp_min(1e-30)
    return maps
