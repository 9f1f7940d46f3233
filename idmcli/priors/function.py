"""A denoiser of your own as a prior: any function of noisy images and their noise level."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from idmcli.errors import InputError, NumericalError
from idmcli.models.denoiser import PHOTOGRAPH_MEAN
from idmcli.priors.base import Domain, Prior
from idmcli.priors.latent import LatentPrior
from idmcli.priors.module import ModulePrior

Denoise = Callable[[Tensor, Tensor], Any]


class FunctionPrior(ModulePrior):
    """A function ``denoise(noisy, sigma) -> clean`` as a :class:`~idmcli.priors.base.Prior`.

    The function is called with noisy images, (B, C, H, W), float32, whose values were in [0, 1] before white Gaussian
    noise was added, and with the standard deviation of that noise for each of them, (B, 1, 1, 1), in the same units.
    Both are on the device that computes, and it may overwrite them. It returns the B clean images, in the same shape,
    as a tensor or a NumPy array.

    Methods that send a gradient through the prior, such as ``dps`` and ``pigdm``, need a function that PyTorch can
    differentiate; all others take any function.

    Args:
        denoise: the function, or a module that is called like one.
        channels: 1 for a denoiser of grey images, which receives each channel of a colour image as a grey image;
            3 for a denoiser of colour images. Then sigma is the root mean square of the levels of the three channels.
        name: for messages; the function's own name if empty.
        noise_levels: the least and the largest sigma that it works for; all levels if not given.
        mean: the mean value of its images; solvers start from it.

    Raises:
        InputError: ``channels`` is neither 1 nor 3, or ``noise_levels`` is no range. When the prior is called: the
            function returned a wrong type or shape, or a method needs its gradient and it has none.
        NumericalError: when the prior is called: the function returned values that are not finite.

    >>> from torch.nn.functional import avg_pool2d
    >>> def smooth(noisy, sigma):
    ...     mean = avg_pool2d(noisy, 3, stride=1, padding=1, count_include_pad=False)
    ...     return torch.lerp(noisy, mean, sigma / (sigma + 0.1))
    >>> prior = FunctionPrior(smooth)
    >>> prior.name
    'smooth'
    >>> prior(torch.rand(2, 3, 8, 8), torch.full((2, 1, 1, 1), 0.1)).shape
    torch.Size([2, 3, 8, 8])
    """

    def __init__(
        self,
        denoise: Denoise,
        channels: int = 1,
        name: str = "",
        noise_levels: tuple[float, float] = (0.0, math.inf),
        mean: float = PHOTOGRAPH_MEAN,
    ) -> None:
        name = name or str(getattr(denoise, "__name__", type(denoise).__name__))
        if channels not in (1, 3):
            raise InputError(f"the denoiser {name} is for {channels} channels", "give channels=1 or channels=3")
        low, high = noise_levels
        if not 0 <= low < high:
            raise InputError(
                f"the denoiser {name} has noise levels from {low} to {high}", "give the smaller one first, 0 or more"
            )
        super().__init__(CheckedFunction(denoise, name), name, Domain(channels, mean), (low, high))


class CheckedFunction(nn.Module):
    """A function of noisy images and noise levels as a module that checks what the function returns.

    Args:
        denoise: the function; the parameters of a module become parameters of this one.
        name: for messages.
    """

    def __init__(self, denoise: Denoise, name: str) -> None:
        super().__init__()
        self.denoise = denoise
        self.name = name

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        """The clean images of x, (B, C, H, W), at the noise levels sigma, (B, 1, 1, 1).

        Raises:
            InputError: they are no real numbers of the shape of x, or a gradient is asked for that they have not.
            NumericalError: they are not finite.
        """
        try:
            returned = self.denoise(x.float().clone(), sigma.float().clone())
        except RuntimeError as error:
            if x.requires_grad and "requires grad" in str(error):  # NumPy was asked
                raise self._no_gradient() from error
            raise
        if not isinstance(returned, Tensor | np.ndarray):
            raise InputError(
                f"the denoiser {self.name} returned an object of type {type(returned).__name__}",
                "return a tensor or a NumPy array",
            )
        if returned.shape != x.shape:
            raise InputError(
                f"the denoiser {self.name} returned the shape {tuple(returned.shape)} for noisy images of the shape "
                f"{tuple(x.shape)}",
                "return one clean image for each noisy image, of the same shape",
            )
        if not (returned.dtype.kind == "f" if isinstance(returned, np.ndarray) else returned.is_floating_point()):
            kind = str(returned.dtype).removeprefix("torch.")
            raise InputError(
                f"the denoiser {self.name} returned numbers of type {kind}", "return floating-point numbers in 0..1"
            )
        clean = returned if isinstance(returned, Tensor) else torch.from_numpy(returned.astype(np.float32))
        if not bool(torch.isfinite(clean).all()):
            raise NumericalError(
                f"the denoiser {self.name} returned values that are not finite for noise of up to {sigma.max():.3g}",
                "mend the denoiser, or give the noise levels it is good for as noise_levels",
            )
        if x.requires_grad and not clean.requires_grad:
            raise self._no_gradient()
        return clean.to(x)

    def _no_gradient(self) -> InputError:
        return InputError(
            f"the method needs a gradient through the denoiser {self.name}, and it has none",
            "write it with PyTorch alone, or choose a method without such a gradient: hqs, vamp or ddnm, for example",
        )


def as_prior(source: Prior | Denoise) -> Prior:
    """A prior as it is; a function, or a module that is called like one, as a :class:`FunctionPrior`.

    Raises:
        InputError: it is neither, or it is a prior on latents.

    >>> def smooth(noisy, sigma):
    ...     return noisy
    >>> prior = as_prior(smooth)
    >>> prior.name, as_prior(prior) is prior
    ('smooth', True)
    """
    if isinstance(source, type) or not callable(source):
        raise InputError(
            f"{source!r} is neither a prior nor a function", "give a prior, or a function (noisy, sigma) -> clean"
        )
    if isinstance(source, LatentPrior):
        raise InputError(f"{source.name} is a prior on latents", "give a prior on images")
    return source if isinstance(source, Prior) else FunctionPrior(source)
