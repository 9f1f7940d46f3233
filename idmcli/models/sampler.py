"""The wired T-step sampler: an invertible diffusion model as one reconstruction network."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from idmcli.errors import InputError
from idmcli.models.denoiser import Denoiser, DenoiserConfig
from idmcli.models.injector import Injection
from idmcli.numerics.divergence import divergence, onsager
from idmcli.operators import LinearOperator, Problem
from idmcli.reversible.coupling import Coupling
from idmcli.reversible.engine import Memory
from idmcli.reversible.plan import Plan, named_plan


@dataclass(frozen=True)
class SamplerConfig:
    """Shape of an :class:`InvertibleDiffusion`.

    Attributes:
        denoiser: the noise estimator; ``denoiser.unet.steps`` is T.
        schedule: "learned", the paper's step with T learned alphas, or "measured", the matched step
            whose noise level is read off the measurements.
        v: initial mixing weight of the first-level couplings.
    """

    denoiser: DenoiserConfig
    schedule: Literal["learned", "measured"] = "learned"
    v: float = 0.5


class InvertibleDiffusion(nn.Module):
    """Reconstructs x from y = A x by T coupled sampling steps over one U-Net.

    Every step belongs to one family. With r = x_t / sqrt(ab_t), sigma^2 = (1 - ab_t) / ab_t, the
    operator's ratio gamma and c = div / (1 - div) of the denoiser:

        x0 = r - sigma e                                (Eq. 1)
        u  = x0 - m_t c sigma e
        xb = u - (1 + k_t (1 / gamma - 1)) A+(A u - y)  (Eq. 2)
        F  = sqrt(ab') (xb + b_t sigma' e)              (Eq. 3)

    The paper's step ("learned") has k = m = 0, b = 1. The matched step ("measured") starts at
    k = m = 1, b = 0, that is, vector approximate message passing, with k = m = 0 in the last step;
    there the state is r itself, and sigma comes from how far A r is from y. Its k, m, b and a gain of
    sigma are learned; a last projection on the measurements closes it.

    Steps are wired by couplings (Eq. 4): x_T = sqrt(ab_T) A+ y, h_T = w_T x_T, result x_0 + w_0 h_0.
    """

    over: Tensor
    memory: Tensor
    renoise: Tensor

    def __init__(self, config: SamplerConfig) -> None:
        super().__init__()
        steps = config.denoiser.unet.steps
        self.config = config
        self.denoiser = Denoiser(config.denoiser)
        self.couplings = nn.ModuleList(Coupling(config.v) for _ in range(steps))
        self.start_scale = nn.Parameter(torch.ones(()))  # w_T
        self.end_scale = nn.Parameter(torch.zeros(()))  # w_0
        if config.schedule == "learned":
            self.alpha = nn.Parameter(torch.full((steps,), 0.5))
        else:
            self.log_gain = nn.Parameter(torch.zeros(steps))
            inner = torch.ones(steps)
            inner[-1] = 0
            self.over = nn.Parameter(torch.cat([torch.ones(1), inner]))  # k, of the start and of each step
            self.memory = nn.Parameter(inner.clone())  # m
            self.renoise = nn.Parameter(torch.zeros(steps))  # b

    def forward(self, y: Tensor, operator: LinearOperator, plan: Plan | None = None) -> Tensor:
        """Images (B, C, H, W) from measurements (B, \\*measurement_shape); not clipped.

        Args:
            y: measurements.
            operator: what took them.
            plan: what each step keeps for the backward pass; everything if None. The result is the same.
        """
        problem = Problem(operator, y).centred(self.denoiser.mean)
        self._check(problem.operator)
        x = self.start(problem)
        h = self.start_scale * x
        plan = plan or named_plan("plain", len(self.couplings))
        for step, (coupling, kept) in enumerate(zip(self.couplings, plan, strict=True)):
            advance = partial(coupling, partial(self.step, problem, step, memory=kept.network))
            if kept.image_only and torch.is_grad_enabled():
                x, h = checkpoint(advance, x, h, use_reentrant=False)
            else:
                x, h = advance(x, h)
        x = x + self.end_scale * h
        if self.config.schedule == "measured":
            x = problem.project(x)
        return problem.image(x)

    @torch.no_grad()
    def reconstruct(self, y: Tensor, operator: LinearOperator) -> Tensor:
        """:meth:`forward` without gradients, clipped to [0, 1]."""
        x: Tensor = self(y, operator)
        return x.clamp(0, 1)

    def start(self, problem: Problem) -> Tensor:
        """x_T: the scaled back-projection."""
        if self.config.schedule == "learned":
            return self.alpha.prod().sqrt() * problem.pinv
        return self._gain(problem, self.over[0]) * problem.pinv

    def step(self, problem: Problem, step: int, x_t: Tensor, memory: Memory = "plain") -> Tensor:
        """F_t: the state before step ``step`` (0 first) to the state after it, without the wiring."""
        if self.config.schedule == "learned":
            return self._paper_step(problem, step, x_t, memory)
        return self._matched_step(problem, step, x_t, memory)

    def _paper_step(self, problem: Problem, step: int, x_t: Tensor, memory: Memory) -> Tensor:
        remaining = self.alpha[: len(self.alpha) - step]
        ab, ab_next = remaining.prod(), remaining[:-1].prod()
        e = self.denoiser.estimate(x_t, self._injection(problem, step), memory)
        x0 = (x_t - (1 - ab).sqrt() * e) / ab.sqrt()
        f = ab_next.sqrt() * problem.project(x0)
        return f if len(remaining) == 1 else f + (1 - ab_next).sqrt() * e

    def _matched_step(self, problem: Problem, step: int, r: Tensor, memory: Memory) -> Tensor:
        sigma = self.log_gain[step].exp() * self.noise_level(problem, step, r)
        e: Tensor
        injection = self._injection(problem, step)
        x0, e = self.denoiser(r, sigma, injection, memory)
        c: Tensor | float = 0.0
        if step < len(self.couplings) - 1:
            c = onsager(divergence(lambda r, sigma: self.denoiser(r, sigma, injection)[0], r, sigma, x0, seed=step))
        u = x0 - self.memory[step] * c * sigma * e
        return problem.project(u, self._gain(problem, self.over[step + 1])) + self.renoise[step] * sigma * e

    def noise_level(self, problem: Problem, step: int, r: Tensor) -> Tensor:
        """sigma of r, (B, C, 1, 1): r = x^ + g A+ (y - A x^) leaves ``y - A r = (1 - g) (y - A x^)``,
        and the noise of r has the variance ``(1 / gamma - 1) |y - A x^|^2 / M``.
        """
        excess = max(1 / problem.operator.ratio - 1, 1e-3)
        return (problem.residual_power(r) / excess + 1e-12).sqrt() / self.over[step].abs().clamp_min(1e-2)

    def _gain(self, problem: Problem, over: Tensor) -> Tensor:
        return 1 + over * max(1 / problem.operator.ratio - 1, 1e-3)

    def _injection(self, problem: Problem, step: int) -> Injection:
        return Injection(step, problem.pinv, problem.range_projection)

    def _check(self, operator: LinearOperator) -> None:
        if self.config.schedule == "measured" and not operator.tight:
            raise InputError(
                f"this network was built for operators with A A^T = I, which this {operator.kind} operator is not",
                'train one with model.schedule = "learned", or use --method ddnm',
            )

    @torch.no_grad()
    def constrain_(self) -> None:
        """Keep the learned schedule a schedule."""
        if self.config.schedule == "learned":
            self.alpha.clamp_(1e-3, 1 - 1e-3)
