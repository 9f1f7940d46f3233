"""Finite differences against numpy and a dense matrix."""

from __future__ import annotations

import numpy as np
import torch

from idmcli.numerics.differences import gradient, gradient_adjoint, laplacian
from tests.small import random


def test_the_gradient_is_that_of_numpy_and_zero_at_the_far_border() -> None:
    x = random(2, 3, 7, 5)
    down, right = gradient(x)
    np.testing.assert_array_equal(down[..., :-1, :], np.diff(x.numpy(), axis=-2))
    np.testing.assert_array_equal(right[..., :-1], np.diff(x.numpy(), axis=-1))
    assert not down[..., -1, :].any() and not right[..., -1].any()


def test_the_adjoint_is_exact() -> None:
    x, g = random(2, 3, 7, 5), random(2, 2, 3, 7, 5, seed=1)
    torch.testing.assert_close((gradient(x) * g).sum(), (x * gradient_adjoint(g)).sum(), rtol=1e-12, atol=0)


def test_complex_images_are_differentiated_by_parts() -> None:
    x = torch.complex(random(1, 1, 6, 5), random(1, 1, 6, 5, seed=1))
    torch.testing.assert_close(laplacian(x), torch.complex(laplacian(x.real), laplacian(x.imag)))


def test_the_laplacian_is_d_transpose_d_and_zero_on_constants() -> None:
    height, width = 6, 5
    d = np.concatenate(
        [
            np.kron(np.diff(np.eye(height), axis=0), np.eye(width)),
            np.kron(np.eye(height), np.diff(np.eye(width), axis=0)),
        ]
    )
    x = random(1, 1, height, width)
    np.testing.assert_allclose(laplacian(x).numpy().ravel(), d.T @ d @ x.numpy().ravel(), atol=1e-12)
    assert not laplacian(torch.ones(1, 1, 5, 6)).any()
