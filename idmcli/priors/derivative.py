"""The derivative of a prior, for methods that send the misfit of the measurements back through it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from idmcli.priors.base import Prior
from idmcli.priors.latent import LatentPrior


def denoise_with_vjp(prior: Prior | LatentPrior, r: Tensor, sigma: Tensor) -> tuple[Tensor, Callable[[Tensor], Tensor]]:
    """The denoised images, and the product of a vector with the derivative of the denoiser.

    Args:
        prior: D.
        r: noisy images or latents, (B, C, H, W).
        sigma: their noise level, (B, 1, 1, 1).

    Returns:
        ``x0 = D(r, sigma)`` without a gradient, and a function ``v -> (d x0 / d r)^T v`` of v like r, which can be
        called once.

    Raises:
        InputError: the prior is a function without a gradient (:class:`~idmcli.priors.function.FunctionPrior`).

    >>> from idmcli.priors import FunctionPrior
    >>> prior = FunctionPrior(lambda noisy, sigma: noisy**2)
    >>> r, sigma = torch.full((1, 1, 1, 2), 3.0), torch.ones(1, 1, 1, 1)
    >>> x0, pull_back = denoise_with_vjp(prior, r, sigma)
    >>> x0, pull_back(torch.tensor([[[[1.0, 2.0]]]]))
    (tensor([[[[9., 9.]]]]), tensor([[[[ 6., 12.]]]]))
    """
    with torch.enable_grad():
        r = r.detach().requires_grad_()
        x0 = prior(r, sigma)

    def pull_back(v: Tensor) -> Tensor:
        (product,) = torch.autograd.grad(x0, r, v)
        return product

    return x0.detach(), pull_back
