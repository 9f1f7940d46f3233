"""PSLD: step by step against its equations on the authors' scale, and what it promises."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from idmcli.numerics.noise import normal_like
from idmcli.operators import LinearOperator
from tests.small import OPERATORS, LatentGaussian, each, generator, latent_gaussian, picture, random, run


def by_the_paper(operator: LinearOperator, y: Tensor, prior: LatentGaussian, steps: int) -> Tensor:
    """Algorithm 2 of Rout et al. in the variables z_t, with DDIM and plain norms and images from -1 to 1."""
    levels, size = prior.levels(steps), operator.image_shape[1:]
    ab = [1 / (1 + level**2) for level in levels]
    norm = math.sqrt(operator.squared_norm(y))
    ones = torch.ones(1, *operator.image_shape).double()
    start = normal_like(prior.encode(ones), generator())
    z = math.sqrt(ab[0]) * levels[0] * start
    for t in range(steps):
        z_t = z.detach().requires_grad_()
        z0 = prior(z_t / math.sqrt(ab[t]), torch.full((1, 1, 1, 1), levels[t]).double())
        e = (z_t - math.sqrt(ab[t]) * z0) / math.sqrt(1 - ab[t])
        x = 2 * prior.decode(z0, size) - 1

        def measured(image: Tensor) -> Tensor:
            return operator.A(image) / norm

        theirs = 2 * y / norm - measured(ones)
        glued = x + operator.AT(theirs - measured(x)) / norm
        misfit = 0.7 * (theirs - measured(x)).norm() + 0.2 * (z0 - prior.encode((glued + 1) / 2)).norm()
        (gradient,) = torch.autograd.grad(misfit, z_t)
        z = math.sqrt(ab[t + 1]) * z0 + math.sqrt(1 - ab[t + 1]) * e - gradient
    return prior.decode(z.detach(), size)


@each("cs-blocks-colour", "mri-equispaced", "ct", "deblur-given")
def test_it_takes_the_steps_of_the_paper(operator: LinearOperator) -> None:
    y, prior = operator.A(picture(operator)), latent_gaussian(operator)
    found = run("psld", operator, y, prior, steps=5, omega=0.7, gamma=0.2)
    torch.testing.assert_close(found, by_the_paper(operator, y, prior, 5), rtol=0, atol=1e-6)


def test_every_image_of_a_batch_has_its_own_norm() -> None:
    operator = OPERATORS["cs-global"]
    y, prior = operator.A(picture(operator, 2)), latent_gaussian(operator)
    together, alone = (run("psld", operator, y[:n], prior, steps=1) for n in (2, 1))
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-9)


def test_measurements_that_leave_one_image_give_that_image() -> None:
    """Theorem 3.8: latents in a plane, of which y tells the two coordinates."""
    operator = OPERATORS["cs-global"]
    prior = latent_gaussian(operator, rank=2)
    z = random(1, 2) @ torch.linalg.svd(prior.covariance)[2][:2]
    x = prior.decode(z.view(1, *prior.latent_shape), operator.image_shape[1:])
    found = run("psld", operator, operator.A(x), prior, steps=200, omega=0.1, gamma=0.01)
    assert float((found - x).norm()) < 0.05 * float((x - 0.45).norm())
