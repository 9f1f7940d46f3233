"""Priors on latents: an autoencoder, and a denoiser of its latents."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn

from idmcli.models.padding import pad_to
from idmcli.models.variance_preserving import VariancePreserving
from idmcli.priors.base import Domain


@runtime_checkable
class LatentPrior(Protocol):
    """Images x in [0, 1] as latents z of about unit variance, and an estimate of z from ``r = z + sigma n``.

    Noise levels have the unit of z. In the variables of variance-preserving diffusion, in which papers on latent
    methods are written, ``z_t = sqrt(ab_t) r`` and ``sigma = sqrt((1 - ab_t) / ab_t)``.

    Attributes:
        name: the name of the weights, for messages.
        domain: the images it was trained for.
    """

    @property
    def name(self) -> str: ...
    @property
    def domain(self) -> Domain: ...

    def levels(self, steps: int) -> list[float]:
        """The noise levels at so many equally spaced times of its schedule, falling, and zero after them."""
        ...

    def encode(self, x: Tensor) -> Tensor:
        """The latents (B, c, h, w) of images of any size, (B, C, H, W); differentiable."""
        ...

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        """The images of this size (H, W) of latents, not clipped; differentiable."""
        ...

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        """The denoised latents, (B, c, h, w) like r, with sigma, (B, 1, 1, 1); differentiable in r."""
        ...


class LatentNetwork(Protocol):
    """A latent diffusion model as :class:`NetworkLatentPrior` needs it.

    Attributes:
        factor: by how much latents are smaller than images.
        estimator: denoises latents.
    """

    @property
    def factor(self) -> int: ...
    @property
    def estimator(self) -> VariancePreserving: ...
    def encode(self, x: Tensor) -> Tensor: ...
    def decode(self, z: Tensor) -> Tensor: ...


@dataclass(frozen=True)
class NetworkLatentPrior:
    """A latent diffusion model, idm's own or another one, as a :class:`LatentPrior`.

    A model for grey images takes colours one by one: their latents are channels behind one another.

    Attributes:
        network: a :class:`LatentNetwork`.
        name: the name of the weights, for messages.
        domain: the images it was trained for.

    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> prior = load_prior(shipped_weights("latent-ct-tiny"))
    >>> z = prior.encode(torch.rand(1, 1, 16, 18))
    >>> z.shape, prior.decode(z, (16, 18)).shape
    (torch.Size([1, 4, 4, 5]), torch.Size([1, 1, 16, 18]))
    """

    network: nn.Module
    name: str
    domain: Domain

    def levels(self, steps: int) -> list[float]:
        known = self._model.estimator.log_levels
        times = torch.linspace(len(known) - 1, 0, steps, device=known.device)
        before = times.long().clamp_max(len(known) - 2)
        return [*torch.lerp(known[before], known[before + 1], times - before).exp().tolist(), 0.0]

    def encode(self, x: Tensor) -> Tensor:
        images = pad_to(x.reshape(-1, self.domain.channels, *x.shape[2:]), self._model.factor, "reflect")
        z = self._model.encode(images)
        return z.reshape(len(x), -1, *z.shape[2:]).to(x.dtype)

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        x = self._model.decode(self._separate(z))[..., : size[0], : size[1]]
        return x.reshape(len(z), -1, *x.shape[2:]).to(z.dtype)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        separate = self._separate(r)
        levels = sigma.repeat_interleave(len(separate) // len(r), 0)
        return self._model.estimator.denoise(separate, levels).reshape(r.shape).to(r.dtype)

    def _separate(self, z: Tensor) -> Tensor:
        channels = int(self._model.estimator.unet.config.in_channels)  # type: ignore[arg-type, union-attr]
        return z.reshape(-1, channels, *z.shape[2:])

    @property
    def parts(self) -> list[nn.Module]:
        """The networks in it that a method calls."""
        model: Any = self.network
        return [model.estimator.unet, model.autoencoder.encoder, model.autoencoder.decoder]

    @property
    def _model(self) -> LatentNetwork:
        return self.network  # type: ignore[return-value]


@dataclass(frozen=True)
class GreyLatent:
    """A latent prior for colour images on grey ones: it sees equal channels, and the mean of those it decodes is taken.

    >>> from idmcli.models import shipped_weights
    >>> from idmcli.priors import load_prior
    >>> GreyLatent(load_prior(shipped_weights("latent-ct-tiny"))).domain.channels
    1
    """

    prior: LatentPrior

    @property
    def name(self) -> str:
        return self.prior.name

    @property
    def domain(self) -> Domain:
        return replace(self.prior.domain, channels=1)

    def levels(self, steps: int) -> list[float]:
        return self.prior.levels(steps)

    def encode(self, x: Tensor) -> Tensor:
        return self.prior.encode(x.expand(-1, self.prior.domain.channels, -1, -1))

    def decode(self, z: Tensor, size: tuple[int, int]) -> Tensor:
        return self.prior.decode(z, size).mean(1, keepdim=True)

    def __call__(self, r: Tensor, sigma: Tensor) -> Tensor:
        return self.prior(r, sigma)
