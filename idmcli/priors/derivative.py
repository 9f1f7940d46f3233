"""The derivative of a prior, for methods that send the misfit of the measurements back through it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from idmcli.priors.base import Prior
from idmcli.priors.latent import LatentPrior


def denoise_with_vjp(prior: Prior | LatentPrior, r: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The denoised images ``x0 = D(r, sigma)``, and ``v -> (d x0 / d r)^T v``, which can be asked once."""
    with torch.enable_grad():
        r = r.detach().requires_grad_()
        x0 = prior(r, sigma)

    def pull_back(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(x0, r, v)
        return product

    return x0.detach(), pull_back
