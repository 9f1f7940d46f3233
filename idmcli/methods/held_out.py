"""How far a method may guess what was not measured, by a second run that lacks some measurements."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from idmcli.operators import LinearOperator, Operator, Problem
from idmcli.operators.linear import Parted

SHARE = 0.15  # of the measurements, held out
FAINT = 1 / 255  # of white: the size of a guess that nobody sees
FORETOLD = 0.5  # from this factor on, a method is believed in full: the factor is uncertain by a few tenths
ALIKE = 0.75  # from this correlation of two guesses on, likewise
STRICTNESS = 8  # power of smaller correlations


class Fewer(NamedTuple):
    """A problem without some of its measurements.

    Attributes:
        problem: with the others.
        parted: which these are.
    """

    problem: Problem
    parted: Parted


def with_fewer(problem: Problem[Operator]) -> Fewer | None:
    """The same problem without :data:`SHARE` of its measurements; None if the operator cannot do without."""
    operator = problem.operator
    parted = operator.hold_out(SHARE) if isinstance(operator, LinearOperator) else None
    if parted is None:
        return None
    others = Problem(parted.operator, problem.y[parted.kept], problem.noise, problem.mean, problem.size)
    return Fewer(others, parted)


@torch.no_grad()
def share_of_the_guess(x: Tensor, again: Tensor, problem: Problem, fewer: Fewer) -> float:
    """The share of a method's guess that two runs bear out.

    It is the smaller of :func:`foretold` and :func:`repeated`. If what was held out is typical, the first is enough.

    Args:
        x: the image that the method makes of a problem, (1, C, H, W).
        again: the image that it makes of ``fewer``, likewise.
        problem: of one measurement.
        fewer: what :func:`with_fewer` makes of it.

    Returns:
        a share in [0, 1]; 1 if the guess is :data:`FAINT`.
    """
    guess = unmeasured(x, problem)
    if guess.abs().square().mean() <= FAINT**2:
        return 1.0
    share = foretold(again, problem, fewer)
    return share if fewer.parted.typical else min(share, repeated(guess, unmeasured(again, problem)))


def foretold(again: Tensor, problem: Problem, fewer: Fewer) -> float:
    """How well a method foretells what was held out.

    From the other measurements the method makes x', and their A+ makes b'. With A restricted to those held out, y_h,

        a = argmin |A (b' + a (x' - b')) - y_h|^2,

    which is 1 for a method that foretells them, and about 0 for one that always makes up the same.

    Returns:
        ``a / FORETOLD``, between 0 and 1.
    """
    known, held = fewer.problem, fewer.parted.held
    base = known.operator.pinv(known.y)
    wanted = problem.y[held] - problem.operator.A(base)[held]
    guess = problem.operator.A(again - base)[held]
    tiny = torch.finfo(wanted.real.dtype).tiny
    factor = float((guess.conj() * wanted).sum().real / guess.abs().square().sum().clamp_min(tiny))
    return min(max(factor / FORETOLD, 0.0), 1.0)


def repeated(guess: Tensor, other: Tensor) -> float:
    """How alike two guesses of what was not measured are, by their correlation c.

    Structure that hangs on single measurements is made up. The idea is from the Fourier shell correlation (Harauz & van
    Heel, 1986), which compares images of two halves of the data. Here a run with all measurements is compared with a
    run with most of them.

    Returns:
        ``(c / ALIKE) ** STRICTNESS``, at most 1; 0 if c is negative.
    """
    tiny = torch.finfo(guess.real.dtype).tiny
    correlation = float((guess.conj() * other).sum().real / (guess.norm() * other.norm()).clamp_min(tiny))
    return float(min(max(correlation, 0.0) / ALIKE, 1.0) ** STRICTNESS)


def unmeasured(x: Tensor, problem: Problem) -> Tensor:
    """The part ``x - A+ A x`` of an image that leaves no trace in its measurements."""
    return problem.operator.project(x, torch.zeros_like(problem.y))


@torch.no_grad()
def believed(x: Tensor, problem: Problem, share: float) -> Tensor:
    """Images x with this share of their :func:`unmeasured` part."""
    return x if share == 1 else x - (1 - share) * unmeasured(x, problem)
