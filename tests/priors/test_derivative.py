"""Priors and their derivative."""

from __future__ import annotations

import pytest
import torch
from torch.func import jacrev

from idmcli.priors import denoise_with_vjp
from tests.small import Curved, camera, random, shipped_prior


def test_it_is_the_transposed_jacobian() -> None:
    prior, r, v = Curved(), random(1, 1, 5, 4), random(1, 1, 5, 4, seed=1)
    sigma = torch.full((1, 1, 1, 1), 0.2, dtype=r.dtype)
    with torch.no_grad():  # as solvers run
        x0, pull_back = denoise_with_vjp(prior, r, sigma)
        found = pull_back(v)
    assert torch.equal(x0, prior(r, sigma)) and not x0.requires_grad and not r.requires_grad
    jacobian = jacrev(lambda r: prior(r, sigma))(r).view(20, 20)
    torch.testing.assert_close(found.flatten(), jacobian.T @ v.flatten())


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_the_shipped_prior_is_differentiated_in_any_precision(precision: torch.dtype) -> None:
    """Along a line: v^T J u is the change of v^T x0 per step u."""
    x, level, step = camera(32), 0.1, 0.02
    r, sigma = x + level * random(*x.shape, dtype=x.dtype), torch.full((1, 1, 1, 1), level)
    u = v = camera(32) - camera(32).mean()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        _, pull_back = denoise_with_vjp(shipped_prior(), r, sigma)
        found = pull_back(v)
    there, back = (shipped_prior()(r + sign * step * u, sigma) for sign in (1, -1))
    assert found.dtype == r.dtype
    assert float((found * u).sum()) == pytest.approx(float(((there - back) * v).sum()) / (2 * step), rel=0.05)
