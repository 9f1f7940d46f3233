"""Priors for real images on complex images, such as images of magnetic resonance."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from idmcli.priors.base import Adapted, Domain, Prior

WINDOW = 15  # pixels, of a mean within which the phase of an image hardly changes


@dataclass(frozen=True)
class Demodulated(Adapted):
    """A prior for real images that sees a complex image r without its smooth phase u: ``Re(r u*)`` and ``Im(r u*)``.

    Where u is right the first is the magnitude, which the prior knows, and the second is noise.
    benchmarks/complex_prior.py compares this with other ways.
    """

    @property
    def domain(self) -> Domain:
        return replace(self.prior.domain, mean=0.0, complex=True)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        u = smooth_phase(r)
        upright = r * u.conj()
        denoised = self.prior(torch.cat([upright.real, upright.imag]), torch.cat([sigma, sigma]))
        return torch.complex(*denoised.chunk(2)) * u


def smooth_phase(r: Tensor) -> Tensor:
    """The phase of complex images r, (B, C, H, W), without detail: ``m / |m|`` with their local mean m.

    The mean is taken twice over a square window of ``WINDOW`` pixels.
    """

    def mean(part: Tensor) -> Tensor:
        for _ in range(2):
            part = avg_pool2d(part, WINDOW, stride=1, padding=WINDOW // 2)
        return part

    m = torch.complex(mean(r.real), mean(r.imag))
    return torch.polar(torch.ones_like(m.real), m.angle())


def for_images(prior: Prior, *, complex_image: bool) -> Prior:
    """A prior for images that are complex or not, as asked.

    A prior for real images takes complex ones as :class:`Demodulated`; any other prior stays as it is.

    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> for_images(load_prior(shipped_weights("prior-mri")), complex_image=True).domain.complex
    True
    """
    return Demodulated(prior) if complex_image and not prior.domain.complex else prior
