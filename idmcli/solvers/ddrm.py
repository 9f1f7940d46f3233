"""Denoising diffusion restoration model (Kawar, Elad, Ermon & Song, NeurIPS 2022)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor

from idmcli.numerics.noise import falling_levels, normal_like
from idmcli.operators import Problem, Spectrum
from idmcli.priors import Prior
from idmcli.ranges import Count, Share
from idmcli.solvers import Progress, Solver


@dataclass(frozen=True)
class DDRMOptions:
    """Options of :func:`ddrm`, with the authors' values but for the temperature, which is 1 in their paper."""

    steps: Count = 20  # denoiser calls
    eta: Share = 0.85  # share of fresh noise where nothing was measured
    eta_b: Share = 1.0  # share of the measurements where they are less noisy than the state
    temperature: Share = 0.7  # factor of the fresh noise; the lower, the nearer samples are to their mean


@torch.no_grad()
def ddrm(problem: Problem, prior: Prior, options: DDRMOptions, generator: Generator, progress: Progress) -> Tensor:
    """Sample x from y = A x + n by :meth:`Coordinates.step`. The start is noise with the measurements in it.

    Levels fall geometrically from 1.5. With a temperature of 1 the state has the noise level that the denoiser is told,
    and x is a sample. With less, the denoiser removes more than there is, and x is nearer to the mean of the samples:
    higher PSNR, less detail.
    """
    problem = problem.centred(prior.domain.mean)
    coordinates = Coordinates.of(problem)
    levels = falling_levels(options.steps)
    start = problem.start
    z, z_null = coordinates.split(levels[0] * normal_like(start, generator))
    z = z * (1 - (coordinates.n_s / levels[0]) ** 2).clamp_min(0).sqrt()
    state = coordinates.ybar + z, coordinates.split(start)[1] + z_null
    for step, (level, following) in enumerate(zip(levels, levels[1:], strict=False), start=1):
        r = coordinates.join(*state)
        sigma = torch.full((len(r), 1, 1, 1), level, device=r.device)
        x0 = prior(r + problem.mean, sigma) - problem.mean
        z = options.temperature * normal_like(r, generator)
        state = coordinates.step(x0, state[1], z, (level, following), options.eta, options.eta_b)
        progress(step, options.steps)
    return problem.image(coordinates.join(*state))


class Coordinates(NamedTuple):
    """A problem in the coordinates ``V^T x`` of ``A = U S V^T``: ybar = U^T y / s, with the noise n_s = noise / s."""

    spectrum: Spectrum
    ybar: Tensor
    n_s: Tensor

    @staticmethod
    def of(problem: Problem) -> Coordinates:
        """The coordinates of a problem whose operator has a spectrum."""
        spectrum = problem.operator.spectrum()
        assert spectrum is not None, "the registry says that this method needs one"
        values = spectrum.values.to(problem.y.real)
        return Coordinates(spectrum, spectrum.to_range(problem.y) / values, problem.noise / values)

    def split(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The coordinates that are measured, and the others."""
        c = self.spectrum.to_basis(x)
        return c[..., : self.ybar.shape[2]], c[..., self.ybar.shape[2] :]

    def join(self, measured: Tensor, others: Tensor) -> Tensor:
        """The inverse of :meth:`split`."""
        return self.spectrum.from_basis(torch.cat([measured, others], 2))

    def step(
        self, x0: Tensor, null: Tensor, z: Tensor, levels: tuple[float, float], eta: float, eta_b: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """The coordinates of a sample of level sigma', measured ones and others, with fresh noise z:

        - where s = 0, with the unit noise ``e = (r - x0) / sigma``: ``x0 + sqrt(1 - eta^2) sigma' e + eta sigma' z``;
        - where sigma' >= n_s: ``(1 - eta_b) x0 + eta_b ybar + sqrt(sigma'^2 - eta_b^2 n_s^2) z``;
        - elsewhere: ``x0 + sqrt(1 - eta^2) sigma' (ybar - x0) / n_s + eta sigma' z`` (Eqs. 7 and 8).

        Args:
            x0: the denoised image.
            null: the coordinates of the noisy image r that were not measured.
            z: fresh noise, as an image.
            levels: sigma and sigma'.
            eta: share of fresh noise where nothing was measured.
            eta_b: share of the measurements where they are less noisy than r.
        """
        level, following = levels
        (c0, null0), (z, z_null) = self.split(x0), self.split(z)
        spread = (following**2 - (eta_b * self.n_s) ** 2).clamp_min(0).sqrt()
        clear = (1 - eta_b) * c0 + eta_b * self.ybar + spread * z
        pull = math.sqrt(1 - eta**2) * following * (self.ybar - c0) / self.n_s.clamp_min(1e-12)
        noisy = c0 + pull + eta * following * z
        e_null = (null - null0) / level
        null = null0 + following * (math.sqrt(1 - eta**2) * e_null + eta * z_null)
        return torch.where(following >= self.n_s, clear, noisy), null


SOLVER = Solver(
    "ddrm",
    "diffusion sampling along the singular vectors of A (Kawar et al., 2022)",
    ddrm,
    needs=frozenset({"prior", "linear", "spectrum"}),
    options=DDRMOptions,
    samples=True,
)
