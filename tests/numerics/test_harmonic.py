"""The harmonic extension: against a dense solution, on holes of all sizes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from idmcli.numerics.differences import laplacian
from idmcli.numerics.harmonic import harmonic_extension


def some_known(height: int, width: int, share: float) -> torch.Tensor:
    known = torch.rand(height, width, generator=torch.Generator().manual_seed(1)) < share
    known[0, 0] = True
    return known


@pytest.mark.parametrize("share", [0.02, 0.3, 0.95])
def test_it_is_the_smoothest_surface(share: float) -> None:
    """Against the linear system of the lost pixels, solved densely."""
    height, width = 13, 18
    x, known = torch.rand(1, 1, height, width, dtype=torch.float64), some_known(height, width, share)
    matrix = laplacian(torch.eye(height * width, dtype=torch.float64).view(-1, 1, height, width)).flatten(1).numpy()
    lost = (~known).flatten().numpy()
    exact = (x * known).flatten().numpy()
    exact[lost] = np.linalg.solve(matrix[np.ix_(lost, lost)], -(matrix @ exact)[lost])
    u = harmonic_extension(x, known)
    assert torch.equal(u[..., known], x[..., known])
    np.testing.assert_allclose(u.flatten().numpy(), exact, atol=0.05)


def test_constants_and_what_is_known_stay() -> None:
    known = some_known(33, 50, 0.01)
    grey = torch.full((2, 3, 33, 50), 0.3)
    torch.testing.assert_close(harmonic_extension(grey, known), grey)
    x = torch.rand(1, 1, 33, 50)
    assert harmonic_extension(x, torch.ones(33, 50, dtype=torch.bool)) is x


def test_large_holes_are_closed() -> None:
    """The coarse scales carry the boundary far into a hole, which a few iterations alone do not."""
    ramp = torch.linspace(0, 1, 200).expand(1, 1, 160, 200)
    known = torch.ones(160, 200, dtype=torch.bool)
    known[20:140, 20:180] = False
    assert (harmonic_extension(ramp * known, known) - ramp).abs().max() < 0.02


def test_complex_images() -> None:
    known, x = some_known(9, 12, 0.3), torch.randn(1, 1, 9, 12, dtype=torch.complex64)
    u = harmonic_extension(x, known)
    torch.testing.assert_close(u.imag, harmonic_extension(x.imag, known))
    torch.testing.assert_close(u.real, harmonic_extension(x.real, known))
