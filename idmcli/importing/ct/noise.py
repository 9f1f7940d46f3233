"""The noise of a sinogram, from itself."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

KERNEL = (1, -4, 6, -4, 1)  # fourth differences: nothing is left of cubic polynomials
MAD = 0.6745  # the median magnitude of Gaussian noise of standard deviation 1


def noise_of(views: NDArray[np.float32]) -> float:
    """The standard deviation of noise that is independent from cell to cell.

    It is the root mean square, over the views, of the median magnitude of fourth differences along the detector, which
    edges do not reach (Donoho & Johnstone, Biometrika 81, 1994, for the median).

    Args:
        views: line integrals, (views, detectors).

    Returns:
        the estimate; 0 for fewer than 16 cells.
    """
    if views.shape[1] < 16:
        return 0.0
    cells = views.shape[1] - len(KERNEL) + 1
    differences = sum(factor * views[:, k : k + cells].astype(np.float64) for k, factor in enumerate(KERNEL))
    sigma = np.median(np.abs(differences), 1) / MAD / np.linalg.norm(KERNEL)
    return float(np.sqrt(np.mean(sigma**2)))
