"""How far a method may guess what was not measured, by a second run that lacks some measurements."""

from __future__ import annotations

import torch
from torch import Tensor

from idmcli.operators import LinearOperator, Operator, Problem

SHARE = 0.15  # of the measurements, held out
FAINT = 1 / 255  # of white: the size of a guess that nobody sees
LEAST = 1 / 3  # from this foretold share on, a method is believed in full: the share is uncertain by a few tenths
ALIKE = 0.75  # from this correlation of two guesses on, likewise
STRICTNESS = 8  # power of smaller correlations


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
def share_of_the_guess(x: Tensor, again: Tensor, problem: Problem, fewer: tuple[Problem, Tensor]) -> float:
    """The share of a method's guess that two runs bear out: the smaller of :func:`foretold` and :func:`repeated`.

    Args:
        x: the image that the method makes of a problem, (1, C, H, W).
        again: the image that it makes of ``fewer``, likewise.
        problem: of one measurement.
        fewer: what :func:`with_fewer` makes of it.

    Returns:
        a share in [0, 1].
    """
    return min(foretold(again, problem, fewer), repeated(x, again, problem))


def foretold(again: Tensor, problem: Problem, fewer: tuple[Problem, Tensor]) -> float:
    """The share a of a method's guess that foretells best what was held out.

    From the other measurements the method makes x', and their A+ makes b'. With A restricted to those held out, y_h,

        a = argmin |A (b' + a (x' - b')) - y_h|^2,

    which is 1 for a method that foretells them, and about 0 for one that always makes up the same.

    Returns:
        a in [0, LEAST), or 1: if a is larger, or the guess is faint.
    """
    known, held = fewer
    base = known.operator.pinv(known.y)
    wanted = problem.y[..., held] - problem.operator.A(base)[..., held]
    guess = problem.operator.A(again - base)[..., held]
    power = guess.abs().square().mean()
    if power <= FAINT**2:
        return 1.0
    share = float((guess.conj() * wanted).mean().real / power)
    return 1.0 if share >= LEAST else max(share, 0.0)


def repeated(x: Tensor, again: Tensor, problem: Problem) -> float:
    """How alike two images are in what was not measured, by the correlation c of these parts.

    Structure that hangs on single measurements is made up. The idea is from the Fourier shell correlation (Harauz & van
    Heel, 1986), which compares images of two halves of the data. Here a run with all measurements is compared with a
    run with most of them.

    Returns:
        ``(c / ALIKE) ** STRICTNESS``, at most 1; 0 if c is negative, and 1 if the guess x is faint.
    """
    guess, other = unmeasured(x, problem), unmeasured(again, problem)
    if guess.abs().square().mean() <= FAINT**2:
        return 1.0
    tiny = torch.finfo(x.real.dtype).tiny
    correlation = float((guess.conj() * other).sum().real / (guess.norm() * other.norm()).clamp_min(tiny))
    return float(min(max(correlation, 0.0) / ALIKE, 1.0) ** STRICTNESS)


def unmeasured(x: Tensor, problem: Problem) -> Tensor:
    """The part ``x - A+ A x`` of an image that leaves no trace in its measurements."""
    return problem.operator.project(x, torch.zeros_like(problem.y))


@torch.no_grad()
def believed(x: Tensor, problem: Problem, share: float) -> Tensor:
    """Images x with this share of their :func:`unmeasured` part."""
    return x if share == 1 else x - (1 - share) * unmeasured(x, problem)
