"""How far a method may guess what was not measured, by measurements that it did not get."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from idmcli.operators import LinearOperator, Operator, Problem

SHARE = 0.15  # of the measurements, held out
FAINT = 1 / 255  # of white: the size of a guess that nobody sees
LEAST = 1 / 3  # share of its guess that a method is believed in full from: the share itself is known to a few tenths


def with_fewer(problem: Problem[Operator]) -> tuple[Problem, Tensor] | None:
    """The same problem without :data:`SHARE` of its measurements, and which of them these are, (M,).

    None if the operator cannot do without.
    """
    operator = problem.operator
    parted = operator.hold_out(SHARE) if isinstance(operator, LinearOperator) else None
    if parted is None:
        return None
    others, held = parted
    return Problem(others, problem.y[..., ~held], problem.noise, problem.mean, problem.size), held


@torch.no_grad()
def share_of_the_guess(
    method: Callable[[Problem[Operator]], Tensor], problem: Problem[Operator], fewer: tuple[Problem, Tensor] | None
) -> float:
    """The share a of a method's guess that foretells best what was held out.

    From the other measurements the method makes x', and their A+ makes b'. With A restricted to those held out, y_h,

        a = argmin |A (b' + a (x' - b')) - y_h|^2,

    which is 1 for a method that foretells them, and about 0 for one that makes up what it does not know.

    Args:
        method: makes an image, (1, C, H, W), of a problem.
        problem: of one measurement.
        fewer: what :func:`with_fewer` makes of it.

    Returns:
        a in [0, LEAST), or 1: if a is larger, the guess is faint, or the operator cannot do with fewer measurements.
    """
    if fewer is None:
        return 1.0
    known, held = fewer

    def foretold(x: Tensor) -> Tensor:
        return problem.operator.A(x)[..., held]

    base = known.operator.pinv(known.y)
    wanted = problem.y[..., held] - foretold(base)
    guess = foretold(method(known).to(base) - base)
    power = guess.abs().square().mean()
    if power <= FAINT**2:
        return 1.0
    share = float((guess.conj() * wanted).mean().real / power)
    return 1.0 if share >= LEAST else max(share, 0.0)


def believed(x: Tensor, problem: Problem[Operator], share: float) -> Tensor:
    """``A+ y`` with this share of what an image x has beyond it."""
    operator = problem.operator
    if share == 1 or not isinstance(operator, LinearOperator):
        return x
    return torch.lerp(operator.pinv(problem.y).to(x), x, share)
