"""Coil maps by ESPIRiT (Uecker et al., Magnetic Resonance in Medicine 71, 2014)."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import pad

KERNEL = 6  # points a side
SIGNAL = 0.03  # singular values of the calibration matrix below this share of the largest one hold noise
CROP = 0.8  # eigenvalues below this one belong to pixels that the calibration did not explain


@torch.no_grad()
def espirit(calibration: Tensor, shape: tuple[int, int]) -> Tensor:
    """Maps S with ``G(n) S(n) = S(n)``: k-space of S x then lies in the span of the patches of the calibration region.

    Patches of k x k points and all coils span a space with the projection P = V V^H. All patches of the k-space of coil
    images m lie in it. The mean over the patches that hold a point is ``y_c(u) = sum_d sum_c' K_cc'(d) y_c'(u + d)``,
    where K(d) is a mean of P over pairs of points that are d apart, the autocorrelation of V. For the images this is
    ``m(n) = G(n) m(n)`` with ``G(n) = sum_d K(d) exp(-2 pi i <d, n>)``. S(n) is the eigenvector of the largest
    eigenvalue, which is 1 where there is an image.

    Args:
        calibration: complex, (coils, h, w), the fully sampled centre of k-space.
        shape: (H, W) of the maps.

    Returns:
        complex, (coils, H, W), of images with the origin at (H // 2, W // 2). ``sum_c |S_c|^2`` is 1, or 0 where the
        eigenvalue is below ``CROP``. The phases are arbitrary at each pixel.
    """
    values, vectors = torch.linalg.eigh(symbols(autocorrelation(span(calibration)), shape))
    maps = torch.where(values[:, -1:] > CROP, vectors[..., -1], 0)
    return maps.T.reshape(-1, *shape)


def span(calibration: Tensor) -> Tensor:
    """An orthonormal basis V of the patches of the calibration region, (rank, coils, k, k).

    It is the eigenvectors of ``A^H A`` for the matrix A of patches, whose eigenvalues exceed ``SIGNAL^2`` of the
    largest one.
    """
    coils, height, width = calibration.shape
    k = min(KERNEL, height, width)
    patches = calibration.unfold(1, k, 1).unfold(2, k, 1).movedim(0, 2).reshape(-1, coils * k * k)
    values, vectors = torch.linalg.eigh(patches.T @ patches.conj())
    basis: Tensor = vectors[:, values > SIGNAL**2 * values[-1]].T
    return basis.reshape(-1, coils, k, k)


def autocorrelation(v: Tensor) -> Tensor:
    """``K_cc'(d) = sum_rj V_rc(j) conj(V_rc'(j + d)) / k^2``, (coils, coils, 2 k - 1, 2 k - 1), d = 0 at [0, 0]."""
    k = v.shape[-1]
    spectra = torch.fft.fft2(v, s=(2 * k - 1, 2 * k - 1))
    power = torch.einsum("rcij,rdij->cdij", spectra.conj(), spectra)
    found: Tensor = torch.fft.ifft2(power).conj() / k**2
    return found


def symbols(k: Tensor, shape: tuple[int, int]) -> Tensor:
    """``G(n) = sum_d K(d) exp(-2 pi i <d, n>)`` at every pixel, Hermitian, (pixels, coils, coils).

    Only the upper triangle is transformed.
    """
    coils, reach = len(k), k.shape[-1] // 2
    rows, columns = torch.triu_indices(coils, coils)
    margins = [side for n in reversed(shape) for side in (n // 2 - reach, (n - 1) // 2 - reach)]
    padded = pad(torch.fft.fftshift(k[rows, columns], (1, 2)), margins)
    upper = torch.fft.fftshift(torch.fft.fft2(torch.fft.ifftshift(padded, (1, 2))), (1, 2)).flatten(1).T
    g: Tensor = upper.new_empty(len(upper), coils, coils)
    g[:, columns, rows], g[:, rows, columns] = upper.conj(), upper
    return g
