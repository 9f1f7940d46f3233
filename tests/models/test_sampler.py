"""The wired sampler against its equations, against message passing, and on every operator."""

from __future__ import annotations

from functools import partial
from typing import get_args

import pytest
import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.models.sampler import InvertibleDiffusion, Rule, SamplerConfig
from idmcli.models.steps import Start
from idmcli.models.unet import UNetConfig
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, add_noise
from idmcli.operators.problem import Problem
from idmcli.operators.total_variation import least_total_variation
from idmcli.priors.network import DenoiserPrior
from idmcli.reversible.plan import NAMED, Plan, PlanName, named_plan
from idmcli.training.step import Constrained
from tests.small import run

MEAN = 0.45
EACH = pytest.mark.parametrize("rule", get_args(Rule))


def network(
    rule: Rule, steps: int = 3, image_channels: int = 1, injected: bool = True, carry: int = 0
) -> InvertibleDiffusion:
    """A tiny sampler in double precision with every weight away from its start."""
    torch.manual_seed(0)
    unet = UNetConfig(image_channels, 2, (8, 16), (1, 1), steps)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(unet, MEAN), rule, carry=carry)).double()
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and (injected or "to_features" not in name):
            nn.init.normal_(parameter, std=0.05)
    return model


def compressed(side: int = 32, ratio: float = 0.3, channels: int = 1) -> LinearOperator:
    return CompressedSensing((channels, side, side), ratio, block=16, seed=1)


def picture(*shape: int) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)


def test_the_learned_rule_is_the_papers_sampling() -> None:
    """Eqs. 1 to 4 with alpha_1 .. alpha_T and t counted down, written out."""
    model, operator = network("paper", steps=3), compressed()
    alpha, v, w_start, w_end = [0.9, 0.6, 0.3], [0.3, 0.5, 0.7], 0.8, 0.25  # v of t = 3, 2, 1
    with torch.no_grad():
        model.rule.alpha.copy_(torch.tensor(alpha))
        for coupling, value in zip(model.couplings, v, strict=True):
            coupling.v.fill_(value)
        model.start_scale.fill_(w_start)
        model.end_scale.fill_(w_end)

    y = operator.A(picture(2, 1, 32, 32))
    centred = y - operator.A(torch.full((2, 1, 32, 32), MEAN, dtype=torch.float64))
    back = operator.AT(centred)

    def alpha_bar(t: int) -> float:
        product = 1.0
        for factor in alpha[:t]:
            product *= factor
        return product

    x = alpha_bar(3) ** 0.5 * back
    h = w_start * x
    for t in (3, 2, 1):
        e = model.denoiser.estimate(x, Injection(3 - t, back, lambda f: operator.AT(operator.A(f))))
        x0 = (x - (1 - alpha_bar(t)) ** 0.5 * e) / alpha_bar(t) ** 0.5
        xb = x0 - operator.AT(operator.A(x0) - centred)
        f = alpha_bar(t - 1) ** 0.5 * xb + (1 - alpha_bar(t - 1)) ** 0.5 * e
        x, h = (1 - v[3 - t]) * f + v[3 - t] * h, x
    torch.testing.assert_close(model(y, operator), x + w_end * h + MEAN, rtol=0, atol=1e-6)  # alpha, v are float32


def test_the_measured_rule_starts_as_message_passing() -> None:
    model, operator = network("matched", steps=4, injected=False), compressed()
    with torch.no_grad():
        for coupling in model.couplings:
            coupling.v.fill_(1e-7)
    y = operator.A(picture(2, 1, 32, 32))
    prior = DenoiserPrior.of(model.denoiser, "prior", (0.0, 0.0))  # so that every divergence is probed
    passed = partial(run, "vamp", operator, y, prior, damping=1.0)
    torch.testing.assert_close(model(y, operator), passed(iterations=4), rtol=0, atol=1e-4)
    assert (passed(iterations=4) - passed(iterations=3)).abs().max() > 1e-3


@pytest.mark.parametrize("noise", [0.0, 0.1])
def test_the_splitting_rule_is_half_quadratic_splitting(noise: float) -> None:
    """Denoise at falling levels, under another turn in each step, and project; coupled by Eq. 4, projected at last.
    Noise is left where it is small beside sigma: with A A^T = I the projection is shortened to 1 / (1 + 1 / rho)."""
    model, operator = network("splitting", steps=3), compressed()
    sigma, v = [0.5, 0.1, 0.02], [0.3, 0.5, 0.7]
    with torch.no_grad():
        model.rule.log_sigma.copy_(torch.tensor(sigma).log())
        for coupling, value in zip(model.couplings, v, strict=True):
            coupling.v.fill_(value)
    y = add_noise(operator.A(picture(2, 1, 32, 32)), noise, 0)
    centred = y - operator.A(torch.full((2, 1, 32, 32), MEAN, dtype=torch.float64))
    back = operator.AT(centred)
    x = h = back
    for step in range(3):
        trust = 1 / (1 + 0.3 * noise**2 / sigma[step] ** 2)
        injection = Injection(step, back, lambda f: operator.AT(operator.A(f)))
        z = x - sigma[step] * model.denoiser.estimate(x / (1 + sigma[step] ** 2) ** 0.5, injection, number=step)
        f = z - trust * operator.AT(operator.A(z) - centred)
        x, h = (1 - v[step]) * f + v[step] * h, x
    if noise == 0:
        x = x - operator.AT(operator.A(x) - centred)
    torch.testing.assert_close(model(y, operator, noise=noise), x + MEAN, rtol=0, atol=1e-6)


def test_the_least_of_noise_is_next_to_none() -> None:
    """Its square is none at all in single precision."""
    model, operator = network("splitting", steps=2).float(), CompressedSensing((1, 32, 32), 0.5, block=16)
    y = operator.A(picture(1, 1, 32, 32).float())
    torch.testing.assert_close(model(y, operator, noise=1e-20), model(y, operator), rtol=0, atol=1e-3)


def test_splitting_starts_at_falling_noise_levels() -> None:
    sigma = network("splitting", steps=3).rule.log_sigma.exp()
    torch.testing.assert_close(sigma, torch.tensor([0.6, 0.06, 0.006]).double())


def test_splitting_starts_from_the_image_it_is_told() -> None:
    unet = DenoiserConfig(UNetConfig(1, 2, (8, 16), (1, 1), 3), MEAN)
    operator = Inpainting((1, 16, 16), {"type": "random", "ratio": 0.3, "seed": 0})
    problem = Problem(operator, operator.A(picture(1, 1, 16, 16))).centred(MEAN)
    starts: list[tuple[Start, Tensor]] = [
        ("least-squares", problem.pinv),
        ("operator", problem.start),
        ("total-variation", least_total_variation(problem)),
    ]
    for name, expected in starts:
        model = InvertibleDiffusion(SamplerConfig(unet, "splitting", start=name, levels=(0.2, 0.05))).double()
        torch.testing.assert_close(model.rule.start(problem), expected)
        torch.testing.assert_close(model.rule.log_sigma.exp(), torch.tensor([0.2, 0.1, 0.05]).double())


@pytest.mark.parametrize("channels", [1, 3])
def test_features_go_from_step_to_step(channels: int) -> None:
    """Two steps of splitting, written out. The network sees the image and the features of the step before, which are
    zero at first; Eq. 4 couples both."""
    model, operator = network("splitting", steps=2, carry=2), compressed(channels=channels)
    y = operator.A(picture(2, channels, 32, 32))
    problem = Problem(operator, y).centred(MEAN)
    x = h = problem.pinv
    features = kept = torch.zeros(2, channels, 2, 32, 32, dtype=torch.float64)
    for step, (sigma, coupling) in enumerate(zip(model.rule.log_sigma.exp(), model.couplings, strict=True)):
        noisy = (x / (1 + sigma**2) ** 0.5).unsqueeze(2)
        injection = Injection(step, problem.pinv, problem.range_projection)
        out = model.denoiser.estimate(torch.cat([noisy, features], 2).flatten(1, 2), injection, number=step)
        e, fresh = out.view(2, channels, 3, 32, 32).split([1, 2], 2)
        v = coupling.v
        f = problem.project(x - sigma * e.squeeze(2))
        x, h = (1 - v) * f + v * h, x
        features, kept = (1 - v) * fresh + v * kept, features
    expected = problem.project(x + model.end_scale * h) + MEAN
    torch.testing.assert_close(model(y, operator), expected, rtol=0, atol=1e-6)
    assert features.abs().max() > 0.01


@EACH
@pytest.mark.parametrize("carry", [0, 2])
def test_the_steps_can_be_inverted(rule: Rule, carry: int) -> None:
    model, operator = network(rule, carry=carry), compressed()
    problem = Problem(operator, operator.A(picture(1, 1, 32, 32))).centred(MEAN)
    start = (model.start(problem), 0.9 * model.start(problem))
    x, h = start
    steps = [lambda x, t=t: model.step(problem, t, x) for t in range(3)]
    for step, coupling in zip(steps, model.couplings, strict=True):
        x, h = coupling(step, x, h)
    for step, coupling in zip(reversed(steps), reversed(model.couplings), strict=True):
        x, h = coupling.inverse(step, x, h)
    torch.testing.assert_close((x, h), start, rtol=0, atol=1e-9)


@EACH
def test_every_parameter_gets_a_finite_gradient(rule: Rule) -> None:
    model, operator = network(rule), compressed()
    x = picture(2, 1, 32, 32)
    (model(operator.A(x), operator) - x).abs().mean().backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    silent = [name for name, parameter in model.named_parameters() if not parameter.grad.any()]
    assert not [name for name in silent if "conv" in name or "alpha" in name or "log_" in name]


@EACH
@pytest.mark.parametrize("name", [name for name in NAMED if name != "plain"])
@pytest.mark.parametrize("carry", [0, 2])
def test_every_memory_plan_has_the_gradients_of_plain_autograd(name: PlanName, rule: Rule, carry: int) -> None:
    model, operator = network(rule, carry=carry), compressed()
    x = picture(2, 1, 32, 32)
    y = operator.A(x).requires_grad_()  # the context of the injectors depends on it

    def gradients(plan: Plan | None) -> tuple[Tensor, ...]:
        loss = (model(y, operator, plan) - x).abs().mean()
        return torch.autograd.grad(loss, [y, *model.parameters()], allow_unused=True)

    for found, expected in zip(gradients(named_plan(name, 3)), gradients(None), strict=True):
        assert (found is None) == (expected is None)
        if found is not None and expected is not None:
            torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11)


def test_steps_may_follow_different_plans() -> None:
    model, operator = network("paper"), compressed()
    x = picture(1, 1, 32, 32)
    y = operator.A(x)
    mixed = (NAMED["both"], NAMED["checkpoint"], NAMED["plain"])
    parameters = list(model.parameters())
    for found, expected in zip(
        torch.autograd.grad(model(y, operator, mixed).square().sum(), parameters),
        torch.autograd.grad(model(y, operator).square().sum(), parameters),
        strict=True,
    ):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-11)


def test_the_sampling_steps_are_invertible() -> None:
    """Eq. 5 over all steps leads from the result back to the start."""
    model, operator = network("paper"), compressed()
    problem = Problem(operator, operator.A(picture(2, 1, 32, 32))).centred(MEAN)
    steps = [(partial(model.step, problem, step), coupling) for step, coupling in enumerate(model.couplings)]
    with torch.no_grad():
        start = model.rule.start(problem)
        x, h = start, model.start_scale * start
        for function, coupling in steps:
            x, h = coupling(function, x, h)
        assert (x - start).abs().max() > 0.1
        for function, coupling in reversed(steps):
            x, h = coupling.inverse(function, x, h)
    torch.testing.assert_close(x, start, rtol=0, atol=1e-10)
    torch.testing.assert_close(h, model.start_scale * start, rtol=0, atol=1e-10)


def test_a_fresh_network_trains() -> None:
    """Straight from its start, with zero-initialised convolutions, the loss falls."""
    torch.manual_seed(0)
    model = InvertibleDiffusion(SamplerConfig(DenoiserConfig(UNetConfig(1, 2, (8, 16), (1, 1), 2))))
    operator, x = compressed(), torch.linspace(0, 1, 32).expand(2, 1, 32, 32)
    optimiser, losses = torch.optim.Adam(model.parameters(), 3e-3), []
    for _ in range(12):
        loss = (model(operator.A(x), operator) - x).abs().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("rule", ["matched", "splitting"])
@pytest.mark.parametrize("ratio", [0.05, 0.5, 1.0])
def test_what_was_measured_is_met(rule: Rule, ratio: float) -> None:
    model, operator = network(rule), compressed(ratio=ratio)
    y = operator.A(picture(2, 1, 32, 32))
    torch.testing.assert_close(operator.A(model(y, operator)), y, rtol=0, atol=1e-9)


@EACH
@pytest.mark.parametrize("carry", [0, 2])
@pytest.mark.parametrize("shape", [(1, 33, 50), (3, 40, 32), (1, 7, 5)])
def test_odd_sizes_and_colours(rule: Rule, shape: tuple[int, int, int], carry: int) -> None:
    model, operator = network(rule, carry=carry), CompressedSensing(shape, 0.3, block=16)
    y = operator.A(picture(2, *shape))
    with torch.no_grad():
        assert model(y, operator).shape == (2, *shape)
        assert torch.equal(model.reconstruct(y, operator), model(y, operator).clamp(0, 1))


@pytest.mark.parametrize("carry", [0, 2])
def test_a_colour_network(carry: int) -> None:
    model, operator = network("paper", image_channels=3, carry=carry), compressed(channels=3)
    assert model.reconstruct(operator.A(picture(1, 3, 32, 32)), operator).shape == (1, 3, 32, 32)


MASK = (torch.arange(32 * 32).reshape(32, 32) * 7 % 5 < 2).float()
LINES = {"type": "equispaced", "acceleration": 3, "centre_fraction": 0.1}
OTHERS = [
    pytest.param(Inpainting((1, 32, 32), MASK), id="inpainting"),
    pytest.param(MRI((1, 32, 32), {"type": "radial", "fraction": 0.3}), id="mri"),
    pytest.param(MRI((1, 32, 32), LINES), id="mri-lines"),
    pytest.param(ParallelBeamCT((1, 32, 32), 12), id="ct"),
]


@pytest.mark.parametrize(
    ("rule", "learned", "noise"),
    [("paper", "alpha", 0.0), ("splitting", "log_sigma", 0.0), ("splitting", "log_sigma", 0.1)],
)
@pytest.mark.parametrize("operator", OTHERS)
def test_rules_for_every_operator(operator: LinearOperator, rule: Rule, learned: str, noise: float) -> None:
    model = network(rule, steps=2).float()
    x = picture(1, 1, 32, 32).float()
    loss = (model(operator.A(x), operator, noise=noise) - x).abs().mean()
    loss.backward()
    assert bool(loss.isfinite())
    assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
    assert getattr(model.rule, learned).grad.abs().min() > 0


@pytest.mark.parametrize("operator", [ParallelBeamCT((1, 32, 32), 12), MRI((1, 32, 32), MASK)])
def test_the_measured_rule_refuses_operators_that_are_not_tight(operator: LinearOperator) -> None:
    x = picture(1, 1, 32, 32).float()
    with pytest.raises(InputError, match=rf"A A\^T = I, which this {operator.kind} operator is not"):
        network("matched").float()(operator.A(x), operator)


def test_complex_images_are_refused() -> None:
    operator = MRI((1, 32, 32), MASK, complex_image=True)
    y = operator.A(torch.complex(picture(1, 1, 32, 32), picture(1, 1, 32, 32)).to(torch.complex64))
    with pytest.raises(InputError, match="reconstructs real images"):
        network("paper").float()(y, operator)


def test_alpha_stays_a_rule() -> None:
    model = network("paper")
    with torch.no_grad():
        model.rule.alpha.copy_(torch.tensor([-1.0, 0.4, 3.0]))
    model.rule.constrain_()
    torch.testing.assert_close(model.rule.alpha.detach(), torch.tensor([0.001, 0.4, 0.999]).double())
    assert not any(
        isinstance(network(rule).rule, Constrained) for rule in ("matched", "splitting")
    )  # any value will do
