"""ReSample: hard data consistency in latent diffusion (Song, Kwon, Zhang, Hu, Qu & Shen, ICLR 2024)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from idmcli.numerics.adam import Adam
from idmcli.numerics.noise import normal_like
from idmcli.operators import Operator, Problem
from idmcli.priors import LatentPrior, denoise_with_vjp
from idmcli.ranges import Count, CountOrZero, Positive
from idmcli.solvers import Progress, Solver

PIXEL_RATE, LATENT_RATE = 0.005, 0.005  # of Adam: 0.01 for pixels from -1 to 1
LEAST_MISFIT = 0.001  # of the size of y: where measurements without noise count as met
REFRESHING = 5  # released code: unconditional steps before data consistency
PATIENCE = 200  # released code: iterations after which a misfit that has grown ends a fit in latent space
GUIDANCE = 0.5  # released code: of the step along the gradient of the misfit


@dataclass(frozen=True)
class ReSampleOptions:
    """Options of :func:`resample`, with the authors' values.

    The released code differs from the paper: ``variant = "code"``, see :func:`resample`.
    """

    steps: Count = 500  # denoiser calls
    every: Count = 10  # steps from one data consistency to the next
    gamma: Positive = 40.0  # scales the variance of resampling: the more, the more the measurements count
    pixel_iterations: CountOrZero = 2000  # most iterations of a fit in pixel space
    latent_iterations: CountOrZero = 500  # most iterations of a fit in latent space, by gradients of the decoder
    variant: Literal["paper", "code"] = "paper"  # the paper, or the authors' released code


@torch.no_grad()
def resample(
    problem: Problem[Operator], prior: LatentPrior, options: ReSampleOptions, generator: Generator, progress: Progress
) -> Tensor:
    """Sample x = D(z) from y = A(x) + n by DDIM steps. Some steps fit the measurements and add noise again.

    With ``z0 = denoised r`` and ``e = (r - z0) / sigma``, a step is ``r' = z0 + sigma' e`` (Algorithm 1). After the
    first third of the steps, every ``every``-th step fits ``z0(y) = argmin |y - A(D(z))|^2`` from z0, up to the noise
    of the measurements. In the second third, the fit is in pixel space and is encoded. In the last third, it is in
    latent space. ``r'`` is then a sample given z0(y) and r', see :func:`stochastic_resample`. The result is decoded.

    The released code differs. Every step also moves along the gradient of the misfit, at a latent with another scale.
    Before a fit, it takes further denoising steps. The variance is another one. A fit in latent space ends when its
    misfit grows. The last step is followed by one more fit.
    """
    fits = Fits(problem, prior, options)
    levels = prior.levels(options.steps)
    r = levels[0] * normal_like(prior.encode(fits.black_images()), generator)
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False)):
        guidance: Tensor | float = 0.0
        if options.variant == "code":
            guidance = _guidance(fits, r, level, following)
        r, z0 = _ddim(prior, r, level, following)
        r = r - guidance
        stage, remaining = 3 * step // options.steps, options.steps - 1 - step
        if stage > 0 and remaining % options.every == 0:
            if options.variant == "code":
                z0 = _refreshed(prior, r, levels[step + 1 : step + 2 + REFRESHING], z0)
            z_y = fits.in_pixel_space(z0) if stage == 1 else fits.in_latent_space(z0)
            r = stochastic_resample(z_y, r, following, _trust(options, level, following), generator)
        progress(step + 1, options.steps)
    if options.variant == "code":
        r = fits.in_latent_space(r)
    return prior.decode(r, fits.size)


def stochastic_resample(z_y: Tensor, r: Tensor, sigma: float, trust: float, generator: Generator) -> Tensor:
    """A sample of ``N(z_y, sigma^2) N(r, k sigma^2)``, that is ``N((k z_y + r) / (k + 1), k sigma^2 / (k + 1))``.

    Proposition 1, with ``z_t = sqrt(ab) r``, ``sigma^2 = (1 - ab) / ab`` and ``k = sigma_t^2 / (1 - ab)``:
    the mean ``(sigma_t^2 sqrt(ab) z_y + (1 - ab) z_t) / (sigma_t^2 + 1 - ab)`` and the variance
    ``sigma_t^2 (1 - ab) / (sigma_t^2 + 1 - ab)`` of z_t. Proposition 2: the mean is that of
    ``z_y + sigma n``, the variance is less.

    Args:
        z_y: latents that meet the measurements.
        r: the same of the unconditional step, with noise of level sigma.
        sigma: noise level of both.
        trust: k, by how much the variance around r is larger; k without end gives ``z_y + sigma n``, 0 gives r.
        generator: of n.
    """
    weight = trust / (trust + 1)
    return weight * z_y + (1 - weight) * r + math.sqrt(weight) * sigma * normal_like(r, generator)


def _trust(options: ReSampleOptions, level: float, following: float) -> float:
    """``k = sigma_t^2 / (1 - ab')`` with ``sigma_t^2 = gamma (1 - ab') / ab (1 - ab / ab')``, or in the released code
    with 1 - ab in place of ab in the denominator; ab belongs to ``level``, and ab' to the following one."""
    change = options.gamma * (level**2 - following**2)
    return change / level**2 if options.variant == "code" else change


def _ddim(prior: LatentPrior, r: Tensor, level: float, following: float) -> tuple[Tensor, Tensor]:
    """``r' = z0 + sigma' e``, and z0."""
    z0 = prior(r, _filled(r, level))
    return z0 + following / level * (r - z0), z0


def _refreshed(prior: LatentPrior, r: Tensor, levels: list[float], z0: Tensor) -> Tensor:
    """The estimate of z after unconditional steps from r through levels."""
    for level, following in zip(levels, levels[1:], strict=False):
        r, z0 = _ddim(prior, r, level, following)
    return z0


def _guidance(fits: Fits, r: Tensor, level: float, following: float) -> Tensor:
    """The released code's ``ab / 2 d/dz_t |y - A(D(z0~))|``, ``z0~ = (z_t - (1 - ab) e) / sqrt(ab)``, in units of r."""
    ab = 1 / (1 + level**2)
    z0, pull_back = denoise_with_vjp(fits.prior, r, _filled(r, level))
    shift = (1 - ab) / math.sqrt(ab) / level  # of r - z0, in place of 1
    residual, gradient = fits.misfit(r - shift * (r - z0))
    norms = residual.flatten(1).norm(dim=1).clamp_min(torch.finfo(r.dtype).tiny).view(-1, 1, 1, 1)
    gradient = 2 / fits.norm * gradient / norms
    length = GUIDANCE * ab * math.sqrt((1 + level**2) * (1 + following**2))
    step: Tensor = length * ((1 - shift) * gradient + shift * pull_back(gradient))
    return step


def _filled(r: Tensor, level: float) -> Tensor:
    return torch.full((len(r), 1, 1, 1), level, dtype=r.dtype, device=r.device)


class Fits:
    """Hard data consistency: ``argmin |y - A(D(z))|^2`` from z, in either space.

    By Adam, until the root mean square of the residual is the noise of the measurements or, without noise, a thousandth
    of the measurements. (The authors have AdamW, and a threshold of 1e-6 for the squares with any noise.)
    """

    def __init__(self, problem: Problem[Operator], prior: LatentPrior, options: ReSampleOptions) -> None:
        self.problem, self.prior, self.options = problem, prior, options
        self.size = problem.operator.image_shape[1:]
        self.norm = math.sqrt(problem.operator.squared_norm(problem.y))
        noise = problem.noise * (math.sqrt(2) if problem.y.is_complex() else 1.0)
        self.enough = (LEAST_MISFIT * rms(problem.y)).clamp_min(noise)

    def black_images(self) -> Tensor:
        """Images of the shape of those measured."""
        y = self.problem.y
        return y.real.new_zeros(len(y), *self.problem.operator.image_shape)

    def in_pixel_space(self, z: Tensor) -> Tensor:
        """``E(argmin |y - A(x)|^2)`` from ``x = D(z)``."""
        operator, y, start = self.problem.operator, self.problem.y, self.prior.decode(z, self.size)
        x = self._fit(start, lambda x: operator.misfit(x, y), PIXEL_RATE, self.options.pixel_iterations, None)
        return self.prior.encode(x)

    def in_latent_space(self, z: Tensor) -> Tensor:
        """``argmin |y - A(D(z))|^2`` from z."""
        patience = PATIENCE if self.options.variant == "code" else None
        return self._fit(z, self.misfit, LATENT_RATE, self.options.latent_iterations, patience)

    def misfit(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """``u = A(D(z)) - y``, and the gradient of ``|u|^2 / 2``."""
        operator = self.problem.operator
        with torch.enable_grad():
            z = z.detach().requires_grad_()
            x = self.prior.decode(z, self.size)
        residual, pull = operator.misfit(x.detach(), self.problem.y)
        (gradient,) = torch.autograd.grad(x, z, pull)
        return residual, gradient

    def _fit(
        self,
        start: Tensor,
        misfit: Callable[[Tensor], tuple[Tensor, Tensor]],
        rate: float,
        iterations: int,
        patience: int | None,
    ) -> Tensor:
        """Steps of Adam for each image until its residual is small enough or, with patience, grows."""
        u = start.clone()  # which Adam writes to
        adam = Adam(u, rate)
        active = torch.ones(len(u), dtype=torch.bool, device=u.device)
        history: list[Tensor] = []
        for iteration in range(iterations):
            residual, gradient = misfit(u)
            history.append(rms(residual))
            active &= history[-1] > self.enough
            if patience is not None and iteration >= patience:
                active &= history[-1] <= history[-1 - patience]
            if not bool(active.any()):
                break
            before = u.clone()
            adam.step(gradient)
            u.copy_(torch.where(active.view(-1, 1, 1, 1), u, before))
        return u


def rms(batch: Tensor) -> Tensor:
    """The root of the mean square of each part of a batch, (B,)."""
    return batch.abs().square().flatten(1).mean(1).sqrt()


SOLVER = Solver(
    "resample",
    "hard data consistency and resampling in the latents of an autoencoder (ReSample, Song et al., 2024)",
    resample,
    needs=frozenset({"latent", "gradient"}),
    options=ReSampleOptions,
    samples=True,
    meets=frozenset({"range"}),
)
