"""ReSample: step by step against its equations on the authors' scale, its propositions, and what it promises."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from idmcli.numerics.noise import normal_like
from idmcli.operators import Operator, Problem
from idmcli.solvers.resample import Fits, ReSampleOptions, rms, stochastic_resample
from tests.small import OPERATORS, LatentGaussian, each, generator, latent_gaussian, picture, random, run

OF_EACH_KIND = ("cs-blocks-colour", "mri-equispaced", "ct", "deblur-given", "hdr", "nonlinear_deblur")


def by_the_paper(operator: Operator, y: Tensor, prior: LatentGaussian, options: ReSampleOptions) -> Tensor:
    """Algorithm 1 of Song et al., or their code, in the variables z_t, with autograd and images from -1 to 1."""
    source, size, code = generator(), operator.image_shape[1:], options.variant == "code"
    levels = prior.levels(options.steps)
    ab = [1 / (1 + level**2) for level in levels]
    norm = math.sqrt(operator.squared_norm(y))

    def noise_of(z_t: Tensor, t: int) -> Tensor:
        sigma = torch.full((len(y), 1, 1, 1), levels[t], dtype=z_t.dtype)
        return (z_t - math.sqrt(ab[t]) * prior(z_t / math.sqrt(ab[t]), sigma)) / math.sqrt(1 - ab[t])

    def ddim(z_t: Tensor, t: int) -> tuple[Tensor, Tensor]:
        e = noise_of(z_t, t)
        z0 = (z_t - math.sqrt(1 - ab[t]) * e) / math.sqrt(ab[t])
        return math.sqrt(ab[t + 1]) * z0 + math.sqrt(1 - ab[t + 1]) * e, z0

    def fit(start: Tensor, decode: bool) -> Tensor:
        u = start.detach().clone().requires_grad_()
        rate, most = (0.005, options.latent_iterations) if decode else (0.01, options.pixel_iterations)
        adam = torch.optim.Adam([u], rate)
        for _ in range(most):
            adam.zero_grad()
            x = prior.decode(u, size) if decode else (u + 1) / 2
            (operator.A(x) - y).abs().square().sum().backward()
            adam.step()
        return u.detach()

    first = levels[0] * normal_like(prior.encode(torch.zeros(len(y), *operator.image_shape).double()), source)
    z = math.sqrt(ab[0]) * first
    for t in range(options.steps):
        z_t = z.detach().requires_grad_()
        z, z0 = ddim(z_t, t)
        if code:
            misread = (z_t - (1 - ab[t]) * noise_of(z_t, t)) / math.sqrt(ab[t])
            misfit = 2 * (y - operator.A(prior.decode(misread, size))).norm() / norm
            z = z - 0.5 * ab[t] * torch.autograd.grad(misfit, z_t)[0]
        z, z0 = z.detach(), z0.detach()
        stage = 3 * t // options.steps
        if stage and (options.steps - 1 - t) % options.every == 0:
            if code:
                further = z
                for s in range(t + 1, min(t + 6, options.steps)):
                    further, z0 = ddim(further, s)
            z_y = fit(z0, True) if stage == 2 else prior.encode((fit(2 * prior.decode(z0, size) - 1, False) + 1) / 2)
            last = max(1 - ab[t + 1], 2**-50)  # at the end both powers vanish, and their ratio matters
            power = 40 * last / ((1 - ab[t]) if code else ab[t]) * (1 - ab[t] / ab[t + 1])
            mean, variance = proposition_1(z_y, z, 1 - last, power)
            z = mean + math.sqrt(variance) * normal_like(z, source)
    return prior.decode(fit(z, True) if code else z, size)


def proposition_1(z_y: Tensor, z: Tensor, ab: float, power: float) -> tuple[Tensor, float]:
    """Mean and variance of z_t given z_y and the z_t of an unconditional step; power is sigma_t^2."""
    mean = (power * math.sqrt(ab) * z_y + (1 - ab) * z) / (power + (1 - ab))
    return mean, power * (1 - ab) / (power + (1 - ab))


@each(*OF_EACH_KIND)
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_it_takes_the_steps_of_the_paper_or_of_the_code(operator: Operator, variant: str) -> None:
    y, prior = operator.A(picture(operator)), latent_gaussian(operator)
    few = {"steps": 9, "every": 2, "pixel_iterations": 4, "latent_iterations": 3, "variant": variant}
    found = run("resample", operator, y, prior, **few)
    expected = by_the_paper(operator, y, prior, ReSampleOptions(**few))
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("power", [0.02, 0.3, 5.0])
@pytest.mark.parametrize("ab", [0.1, 0.8])
def test_resampling_has_the_mean_and_the_variance_of_proposition_1(ab: float, power: float) -> None:
    z_y, z = random(1, 1, 2, 2), random(1, 1, 2, 2, seed=1)
    sigma, many = math.sqrt((1 - ab) / ab), 100_000
    r = stochastic_resample(
        z_y.expand(many, -1, -1, -1), (z / math.sqrt(ab)).expand(many, -1, -1, -1), sigma, power / (1 - ab), generator()
    )
    mean, variance = proposition_1(z_y, z, ab, power)
    drawn = math.sqrt(ab) * r
    torch.testing.assert_close(drawn.mean(0), mean[0], rtol=0, atol=5 * math.sqrt(variance / many))
    torch.testing.assert_close(drawn.var(0), torch.full_like(z[0], variance), rtol=5 * math.sqrt(2 / many), atol=0)


def test_resampling_is_unbiased_and_of_less_variance_than_encoding() -> None:
    """Proposition 2: where r is what it is taken for, z_y and noise of variance k sigma^2."""
    sigma, trust, many = 0.8, 2.0, 100_000
    z_y = random(1, 1, 2, 2)
    encoded = z_y + sigma * random(many, 1, 2, 2, seed=1)
    r = stochastic_resample(z_y.expand_as(encoded), encoded, sigma, trust, generator())
    torch.testing.assert_close(r.mean(0), z_y[0], rtol=0, atol=5 * sigma / math.sqrt(many))
    given_r = stochastic_resample(z_y.expand_as(encoded), encoded[:1].expand_as(encoded), sigma, trust, generator())
    assert float(given_r.var(0).max()) < 0.7 * sigma**2
    assert float(encoded.var(0).min()) > 0.95 * sigma**2


def test_the_ends_of_the_variance_keep_the_step_or_encode_anew() -> None:
    z_y, r = random(1, 1, 2, 2), random(1, 1, 2, 2, seed=1)
    assert torch.equal(stochastic_resample(z_y, r, 0.8, 0.0, generator()), r)
    anew = stochastic_resample(z_y, r, 0.8, 1e15, generator())
    torch.testing.assert_close(anew, z_y + 0.8 * normal_like(r, generator()))


def test_without_noise_a_thousandth_of_the_measurements_is_enough() -> None:
    operator = OPERATORS["sr"]
    prior = latent_gaussian(operator)
    y = operator.A(prior.decode(random(1, *prior.latent_shape), operator.image_shape[1:]))
    fits = Fits(Problem(operator, y), prior, ReSampleOptions())
    assert float(rms(fits.misfit(fits.in_latent_space(random(1, *prior.latent_shape, seed=1)))[0]) / rms(y)) <= 0.001


@each("cs-global", "mri-radial", "sr", "hdr", "nonlinear_deblur")
def test_fits_meet_the_measurements_up_to_their_noise(operator: Operator) -> None:
    prior, noise = latent_gaussian(operator), 0.02
    z, start = (random(2, *prior.latent_shape, seed=seed) for seed in (1, 2))
    y = operator.A(prior.decode(z, operator.image_shape[1:]))
    y = y + noise * random(*y.shape, seed=3)
    fits = Fits(Problem(operator, y, noise), prior, ReSampleOptions(latent_iterations=2000))
    enough = noise * (math.sqrt(2) if y.is_complex() else 1)
    assert bool((rms(fits.misfit(start)[0]) > 1.5 * enough).all())
    assert bool((rms(fits.misfit(fits.in_latent_space(start))[0]) <= enough).all())
    if operator.kind == "hdr":  # a pixel that is clipped here and not in y has no gradient
        return
    pixels = replace(prior, columns=torch.eye(len(prior.columns)).double(), latent_shape=prior.image_shape)
    fits = Fits(Problem(operator, y, noise), pixels, fits.options)
    found = fits.in_pixel_space(pixels.encode(prior.decode(start, operator.image_shape[1:])))
    assert bool((rms(fits.misfit(found)[0]) <= enough).all())


def test_every_image_of_a_batch_is_fitted_for_itself() -> None:
    operator = OPERATORS["cs-global"]
    prior = latent_gaussian(operator)
    z = random(2, *prior.latent_shape) * torch.tensor([0.7, 1.2]).view(2, 1, 1, 1)
    y = operator.A(prior.decode(z, operator.image_shape[1:]))
    fits = [Fits(Problem(operator, y[:n], 0.02), prior, ReSampleOptions()) for n in (2, 1)]
    together, alone = (fit.in_latent_space(torch.zeros_like(z[: len(fit.problem.y)])) for fit in fits)
    assert bool((rms(fits[0].misfit(together)[0]) <= 0.02).all())
    torch.testing.assert_close(together[:1], alone, rtol=0, atol=1e-9)


@pytest.mark.parametrize("steps", [1, 2, 3, 7, 10, 23])
@pytest.mark.parametrize("variant", ["paper", "code"])
def test_any_number_of_steps(steps: int, variant: str) -> None:
    operator = OPERATORS["sr"]
    few = {"pixel_iterations": 2, "latent_iterations": 2, "variant": variant}
    found = run("resample", operator, operator.A(picture(operator)), latent_gaussian(operator), steps=steps, **few)
    assert found.shape[1:] == operator.image_shape and bool(torch.isfinite(found).all())


@pytest.mark.parametrize(("variant", "gamma"), [("paper", 1e4), ("code", 40.0)])
def test_measurements_that_leave_one_image_give_that_image(variant: str, gamma: float) -> None:
    """The posterior of latents in a plane is a point if y tells the two coordinates."""
    operator = OPERATORS["cs-global"]
    prior = latent_gaussian(operator, rank=2)
    z = random(1, 2) @ torch.linalg.svd(prior.covariance)[2][:2]
    x = prior.decode(z.view(1, *prior.latent_shape), operator.image_shape[1:])
    found = run("resample", operator, operator.A(x), prior, steps=30, every=2, variant=variant, gamma=gamma)
    assert float((found - x).norm()) < 0.1 * float((x - 0.45).norm())
