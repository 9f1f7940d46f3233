"""Functions as priors: what they are given, what they may return, and the methods that take them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from skimage.filters import gaussian
from torch import Tensor, nn
from torch.nn.functional import conv2d, pad

from idmcli.errors import InputError, NumericalError
from idmcli.metrics import psnr
from idmcli.operators import Blur, CompressedSensing, Inpainting, LinearOperator, Problem, add_noise
from idmcli.priors import Domain, FunctionPrior, ModulePrior, Prior, as_prior, denoise_with_vjp
from tests.small import Gaussian, camera, latent_gaussian, random, run

SIGMA = torch.full((1, 1, 1, 1), 0.1)


def widths(sigma: Tensor) -> Tensor:
    """Of the filters below, in pixels."""
    return (4 * sigma.flatten()).clamp(0.2, 1.5)


def smooth(noisy: Tensor, sigma: Tensor) -> Tensor:
    """A Gaussian filter, wider for more noise, in PyTorch."""
    places, filtered = torch.arange(-4.0, 5.0), []
    for image, width in zip(noisy, widths(sigma), strict=True):
        taps = torch.softmax(-(places**2) / (2 * width**2), 0)
        filtered.append(conv2d(pad(image[None], (4, 4, 4, 4), "replicate"), torch.outer(taps, taps)[None, None]))
    return torch.cat(filtered)


def smooth_by_numpy(noisy: Tensor, sigma: Tensor) -> np.ndarray[Any, Any]:
    """The same outside PyTorch, to an array in double precision."""
    clean = [
        gaussian(image, width, mode="nearest", truncate=4 / width, channel_axis=0)
        for image, width in zip(noisy.numpy().astype(float), widths(sigma).tolist(), strict=True)
    ]
    return np.stack(clean)


def test_a_function_is_given_images_of_its_channels_and_their_levels() -> None:
    seen: list[tuple[Tensor, Tensor]] = []

    def denoise(noisy: Tensor, sigma: Tensor) -> Tensor:
        seen.append((noisy.clone(), sigma.clone()))
        return noisy.mul_(0.5)  # which changes nothing outside

    r, sigma = random(2, 3, 4, 5), torch.tensor([0.1, 0.2, 0.2], dtype=torch.float64).view(1, 3, 1, 1)
    before = r.clone()
    for channels, shape, level in ((1, (6, 1, 4, 5), [0.1, 0.2, 0.2] * 2), (3, (2, 3, 4, 5), [0.03**0.5] * 2)):
        found = FunctionPrior(denoise, channels)(r, sigma)
        noisy, told = seen[-1]
        assert noisy.dtype == told.dtype == torch.float32 and noisy.shape == shape and told.shape == (shape[0], 1, 1, 1)
        torch.testing.assert_close(told.flatten(), torch.tensor(level))
        torch.testing.assert_close(found, before / 2, rtol=1e-6, atol=1e-6)
        assert found.dtype == r.dtype and torch.equal(r, before)


def test_it_says_of_itself_what_it_was_given() -> None:
    prior = FunctionPrior(smooth, 3, noise_levels=(0.01, 0.5), mean=0.2)
    assert (prior.name, prior.domain, prior.noise_levels) == ("smooth", Domain(3, 0.2), (0.01, 0.5))
    assert FunctionPrior(smooth, name="mine").name == "mine" and FunctionPrior(nn.Identity()).name == "Identity"
    assert FunctionPrior(smooth).noise_levels == (0.0, math.inf) and FunctionPrior(smooth).domain.mean == 0.45
    for arguments, message in (({"channels": 2}, "for 2 channels"), ({"noise_levels": (0.5, 0.1)}, "from 0.5 to 0.1")):
        with pytest.raises(InputError, match=f"the denoiser smooth .*{message}"):
            FunctionPrior(smooth, **arguments)  # type: ignore[arg-type]


def test_the_parameters_of_a_module_are_those_of_the_prior() -> None:
    module = nn.Conv2d(1, 1, 3, padding=1)
    prior = as_prior(lambda noisy, sigma: module(noisy))
    assert isinstance(prior, ModulePrior) and not list(prior.network.parameters())
    wrapped = FunctionPrior(Forwarding(module)).network
    assert {id(parameter) for parameter in wrapped.parameters()} == {id(parameter) for parameter in module.parameters()}


class Forwarding(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, noisy: Tensor, sigma: Tensor) -> Any:
        return self.module(noisy)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (lambda noisy: noisy[:, :, :-1], r"shape \(1, 1, 7, 8\) for noisy images of the shape \(1, 1, 8, 8\)"),
        (lambda noisy: noisy[0], r"shape \(1, 8, 8\) for noisy images"),
        (lambda noisy: noisy.numpy()[0], r"shape \(1, 8, 8\) for noisy images"),
        (lambda noisy: noisy.mean(), r"shape \(\) for noisy images"),
        (lambda noisy: (noisy, noisy), "an object of type tuple"),
        (lambda noisy: None, "an object of type NoneType"),
        (lambda noisy: noisy.byte(), "numbers of type uint8"),
        (lambda noisy: noisy + 0j, "numbers of type complex64"),
        (lambda noisy: noisy.numpy().astype(int), "numbers of type int64"),
        (lambda noisy: noisy.numpy().astype(object), "numbers of type object"),
    ],
)
def test_what_is_no_clean_image_is_said(returned: Callable[[Tensor], Any], message: str) -> None:
    with pytest.raises(InputError, match=f"the denoiser wrong returned (the )?{message}") as caught:
        FunctionPrior(lambda noisy, sigma: returned(noisy), name="wrong")(torch.rand(1, 1, 8, 8), SIGMA)
    assert "\n" not in caught.value.message and caught.value.hint


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_values_that_are_not_finite_are_said(value: float) -> None:
    for prior in (lambda noisy, sigma: noisy * value, lambda noisy, sigma: np.full(noisy.shape, value)):
        with pytest.raises(NumericalError, match="the denoiser wrong returned values that are not finite for .* 0.1$"):
            FunctionPrior(prior, name="wrong")(torch.rand(1, 1, 8, 8), SIGMA)


def test_arrays_become_tensors() -> None:
    r, sigma = random(2, 1, 16, 12, dtype=torch.float32), torch.tensor([0.1, 0.3]).view(2, 1, 1, 1)
    for change in (lambda array: array, lambda array: array[:, :, ::-1][:, :, ::-1], lambda array: array.astype(">f4")):
        found = FunctionPrior(lambda noisy, sigma: change(smooth_by_numpy(noisy, sigma)))(r, sigma)  # noqa: B023
        assert found.dtype == torch.float32 and found.is_contiguous()
        torch.testing.assert_close(found, smooth(r, sigma), rtol=0, atol=1e-5)


def test_errors_of_the_function_are_its_own() -> None:
    def failing(noisy: Tensor, sigma: Tensor) -> Tensor:
        raise RuntimeError("out of patience")

    with pytest.raises(RuntimeError, match="^out of patience$"):
        FunctionPrior(failing)(torch.rand(1, 1, 8, 8).requires_grad_(), SIGMA)


def test_its_gradient_is_that_of_the_function() -> None:
    r, v = random(1, 1, 8, 8), random(1, 1, 8, 8, seed=1)
    _, pull_back = denoise_with_vjp(FunctionPrior(lambda noisy, sigma: noisy**2), r, SIGMA)
    torch.testing.assert_close(pull_back(v), 2 * r * v, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("denoise", [smooth_by_numpy, torch.no_grad()(smooth), lambda noisy, sigma: noisy.detach()])
def test_a_function_without_a_gradient_is_said_where_one_is_needed(denoise: Callable[..., Any]) -> None:
    prior, r = FunctionPrior(denoise, name="mine"), torch.rand(1, 1, 1, 1)
    prior(r, SIGMA)
    with pytest.raises(InputError, match="needs a gradient through the denoiser mine, and it has none") as caught:
        denoise_with_vjp(prior, r, SIGMA)
    assert "hqs" in caught.value.hint


BLUR = Blur((1, 48, 48), {"type": "gaussian", "size": 9, "std": 1.5})
CS = CompressedSensing((1, 48, 48), 0.5, block=16)
HOLES = Inpainting((1, 48, 48), {"type": "random", "ratio": 0.5, "seed": 0})


def improvement(method: str, operator: LinearOperator, denoise: Callable[..., Any], **options: Any) -> float:
    """By how many dB a method with a function as its prior does better than A+ y around a constant."""
    x, noise = camera(48, 2), 0.01
    y = add_noise(operator.A(x), noise, 0)
    found = run(method, operator, y, FunctionPrior(denoise), noise=noise, **options)
    problem = Problem(operator, y, noise).centred(0.45)
    first = problem.image(problem.pinv)
    return float(psnr(found.clamp(0, 1), x) - psnr(first.clamp(0, 1), x))


@pytest.mark.parametrize("denoise", [smooth, smooth_by_numpy])
def test_hqs_and_vamp_gain_by_a_gaussian_filter(denoise: Callable[..., Any]) -> None:
    assert improvement("hqs", HOLES, denoise) > 8
    assert improvement("vamp", CS, denoise) > 8


def test_dps_and_pigdm_take_their_gradient_through_it() -> None:
    assert improvement("dps", HOLES, smooth, steps=50) > 2
    assert improvement("pigdm", HOLES, smooth, steps=20) > 3
    with pytest.raises(InputError, match="needs a gradient through the denoiser smooth_by_numpy"):
        improvement("dps", HOLES, smooth_by_numpy, steps=2)


def test_methods_compute_what_they_do_with_the_prior_itself() -> None:
    x = camera(48, 2)
    y = CS.A(x)
    known = Gaussian(0.09)
    for method in ("hqs", "vamp", "ddnm"):
        found, expected = (run(method, CS, y, prior) for prior in (FunctionPrior(known, mean=0.45), known))
        torch.testing.assert_close(found, expected)


def test_as_prior_takes_priors_and_functions_alone() -> None:
    known = Gaussian(0.09)
    assert as_prior(known) is known
    prior = as_prior(smooth)
    assert isinstance(prior, FunctionPrior) and isinstance(prior, Prior) and prior.name == "smooth"
    for thing, message in (
        (3, "3 is neither a prior nor a function"),
        ("prior-grey", "'prior-grey' is neither"),
        (Gaussian, "Gaussian'> is neither"),
        (latent_gaussian(CS), "latent-gaussian is a prior on latents"),
    ):
        with pytest.raises(InputError, match=message):
            as_prior(thing)  # type: ignore[arg-type]
