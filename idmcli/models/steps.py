"""The rules of a sampling step: the paper's, the one matched to message passing, and half-quadratic splitting.

They belong to one family. With r = x_t / sqrt(ab_t), sigma^2 = (1 - ab_t) / ab_t, the operator's ratio gamma
and c = div / (1 - div) of the denoiser:

    x0 = r - sigma e                                (Eq. 1)
    u  = x0 - m_t c sigma e
    xb = u - (1 + k_t (1 / gamma - 1)) A+(A u - y)  (Eq. 2)
    F  = sqrt(ab') (xb + b_t sigma' e)              (Eq. 3)

A rule says in ``noisy`` which noisy image of which noise level the network sees, and in ``advance`` what follows from
the noise e that it finds there: F_t. Steps are numbered from 0. A rule with ``turning`` shows the network another turn
of the image in each step, so that the preferences of the network do not add up.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from idmcli.errors import InputError
from idmcli.models.denoiser import scaled
from idmcli.numerics.divergence import onsager, stein_divergence
from idmcli.operators import LinearOperator, Problem
from idmcli.operators.total_variation import least_total_variation

ALPHA_MARGIN = 1e-3
MIN_EXCESS = 1e-3  # of 1 / gamma over 1
SPLITTING_WEIGHT = 0.3  # lambda, as hqs has it by default
Start = Literal["least-squares", "operator", "total-variation"]
Noisy = tuple[Tensor, Tensor]
"""``x_t = r / sqrt(1 + sigma^2)``, (B, C, H, W), and sigma, which fits beside it."""


class PaperStep(nn.Module):
    """k = m = 0 and b = 1, with T learned alphas whose products are ab_t (Chen et al., TPAMI 2025)."""

    parameter_group = "rule"
    turning = False

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.full((steps,), 0.5))

    def start(self, problem: Problem) -> Tensor:
        """x_T: the scaled pseudo-inverse."""
        return self.alpha.prod().sqrt() * problem.pinv

    def noisy(self, problem: Problem, step: int, x_t: Tensor) -> Noisy:
        """The state itself."""
        ab, _ = self._products(step)
        return x_t, ((1 - ab) / ab).sqrt()

    def advance(self, problem: Problem, step: int, x_t: Tensor, sigma: Tensor, e: Tensor) -> Tensor:
        """F_t."""
        ab, ab_next = self._products(step)
        x0 = (x_t - (1 - ab).sqrt() * e) / ab.sqrt()  # Eq. 1
        xb = problem.project(x0)  # Eq. 2
        f = ab_next.sqrt() * xb
        return f if step == len(self.alpha) - 1 else f + (1 - ab_next).sqrt() * e  # Eq. 3; ab_0 = 1

    def _products(self, step: int) -> tuple[Tensor, Tensor]:
        """ab_t and ab_{t-1}, the products of alpha_1 .. alpha_t and of one less."""
        alpha = self.alpha[: len(self.alpha) - step]
        return alpha.prod(), alpha[:-1].prod()

    def end(self, problem: Problem, x: Tensor) -> Tensor:
        """The image of x_0, which it is."""
        return x

    @torch.no_grad()
    def constrain_(self) -> None:
        """Keep every alpha inside (0, 1)."""
        self.alpha.clamp_(ALPHA_MARGIN, 1 - ALPHA_MARGIN)


class MatchedStep(nn.Module):
    """Starts at k = m = 1 and b = 0, that is, vector approximate message passing, with k = m = 0 in the last step.

    The state is r itself, and sigma comes from how far A r is from y. k, m, b and a gain of sigma are learned;
    a last projection on the measurements closes it.
    """

    parameter_group = "rule"
    turning = True

    def __init__(self, steps: int) -> None:
        super().__init__()
        inner = torch.ones(steps)
        inner[-1] = 0
        self.log_gain = nn.Parameter(torch.zeros(steps))
        self.over = nn.Parameter(torch.cat([torch.ones(1), inner]))  # k, of the start and of each step
        self.correction = nn.Parameter(inner.clone())  # m
        self.renoise = nn.Parameter(torch.zeros(steps))  # b

    def start(self, problem: Problem) -> Tensor:
        """r of the pseudo-inverse.

        Raises:
            InputError: the operator has not A A^T = I.
        """
        if not problem.operator.tight:
            raise InputError(
                f"this network needs an operator with A A^T = I, which this {problem.operator.kind} operator is not",
                'train one with model.rule = "paper", or use --method ddnm',
            )
        return self._gain(problem, 0) * problem.pinv

    def noisy(self, problem: Problem, step: int, r: Tensor) -> Noisy:
        """r at the noise level that the measurements tell."""
        sigma = self.log_gain[step].exp() * self.noise_level(problem, step, r)
        return scaled(r, sigma), sigma

    def advance(self, problem: Problem, step: int, r: Tensor, sigma: Tensor, e: Tensor) -> Tensor:
        """F_t."""
        x0 = r - sigma * e  # Eq. 1
        last = step == len(self.log_gain) - 1
        c: Tensor | float = 0.0
        if not last:
            c = onsager(stein_divergence(r, sigma, x0))
        u = x0 - self.correction[step] * c * sigma * e
        xb = problem.project(u, self._gain(problem, step + 1))  # Eq. 2
        f: Tensor = xb + self.renoise[step] * sigma * e  # Eq. 3
        return f

    def end(self, problem: Problem, x: Tensor) -> Tensor:
        """The image of the last state: its projection on the measurements."""
        return problem.project(x)

    def noise_level(self, problem: Problem, step: int, r: Tensor) -> Tensor:
        """sigma of r, (B, C, 1, 1): r = x^ + g A+ (y - A x^) leaves ``y - A r = (1 - g) (y - A x^)``,
        and the noise of r has the variance ``(1 / gamma - 1) |y - A x^|^2 / M``.
        """
        power = problem.residual_power(r) / _excess(problem.operator)
        return (power + 1e-12).sqrt() / self.over[step].abs().clamp_min(1e-2)

    def _gain(self, problem: Problem, step: int) -> Tensor:
        """``1 + k (1 / gamma - 1)``, of the start (0) or of a step (from 1)."""
        return 1 + self.over[step] * _excess(problem.operator)


class SplittingStep(nn.Module):
    """k = m = b = 0: half-quadratic splitting, for every linear operator. What differs between the steps is how much
    noise they look for.

    The state is r itself. Its start is A+ y, or the operator's own start, or the image of least total variation. Noise
    levels sigma are learned; before training they are a geometric sequence between two levels.
    Measurements with noise are met as far as they are trusted beside x0: ``argmin_x |y - A x|^2 + rho |x - x0|^2`` with
    ``rho = lambda noise^2 / sigma^2``, as in :func:`idmcli.solvers.hqs.hqs`, takes the place of Eq. 2.
    """

    parameter_group = "rule"
    turning = True

    def __init__(self, steps: int, levels: tuple[float, float], first_image: Start) -> None:
        super().__init__()
        first, last = levels
        self.log_sigma = nn.Parameter(torch.linspace(math.log(first), math.log(last), steps))
        self._first_image = first_image

    def start(self, problem: Problem) -> Tensor:
        """The first image."""
        match self._first_image:
            case "least-squares":
                return problem.pinv
            case "operator":
                return problem.start
            case "total-variation":
                return least_total_variation(problem)

    def noisy(self, problem: Problem, step: int, r: Tensor) -> Noisy:
        """r at the learned noise level."""
        sigma = self.log_sigma[step].exp()
        return scaled(r, sigma), sigma

    def advance(self, problem: Problem, step: int, r: Tensor, sigma: Tensor, e: Tensor) -> Tensor:
        """F_t."""
        x0 = r - sigma * e  # Eq. 1
        if problem.noise == 0:
            return problem.project(x0)  # Eq. 2
        return problem.operator.prox(x0, problem.y, sigma**2 / (SPLITTING_WEIGHT * problem.noise**2))

    def end(self, problem: Problem, x: Tensor) -> Tensor:
        """The image of the last state: without noise its projection on the measurements, which couplings lead away
        from."""
        return x if problem.noise > 0 else problem.project(x)


def _excess(operator: LinearOperator) -> float:
    """``1 / gamma - 1``."""
    return max(1 / operator.ratio - 1, MIN_EXCESS)
