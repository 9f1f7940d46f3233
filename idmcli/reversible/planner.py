"""The choice of a memory plan: the fastest that fits."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import groupby

from idmcli.errors import ResourceError
from idmcli.reversible.plan import NAMED, Plan
from idmcli.sizes import format_size


def choose_plan(steps: int, budget: int, peak: Callable[[Plan], int]) -> tuple[Plan, int]:
    """The first of :func:`candidates` whose peak is within the budget, and its peak.

    Args:
        steps: T.
        budget: bytes.
        peak: bytes of a training step under a plan; it must not grow from one candidate to the next.

    Raises:
        ResourceError: none of them is within the budget.
    """
    plans = candidates(steps)
    best, least = len(plans) - 1, peak(plans[-1])
    if least > budget:
        raise ResourceError(
            f"one training step needs {format_size(least)} in the leanest memory plan, "
            f"and {format_size(budget)} may be used",
            "use a smaller training.batch or training.patch",
        )
    low = 0
    while low < best:  # plans[best] fits
        middle = (low + best) // 2 if low else 0  # plain is the likeliest
        found = peak(plans[middle])
        if found <= budget:
            best, least = middle, found
        else:
            low = middle + 1
    return plans[best], least


def candidates(steps: int) -> list[Plan]:
    """Plans from the fastest to the leanest.

    One step after the other turns from ``plain`` to ``unet``, then from ``unet`` to ``both``, those that run
    first being the first to turn: the backward pass comes to them last, and theirs would wait for it longest.
    The last step stays at ``unet``, because the backward pass begins with it.
    """
    plain, unet, both = (NAMED[name] for name in ("plain", "unet", "both"))
    fast = [(unet,) * turned + (plain,) * (steps - turned) for turned in range(steps + 1)]
    return fast + [(both,) * turned + (unet,) * (steps - turned) for turned in range(1, steps)]


def extra_passes(plan: Plan) -> Fraction:
    """Passes through the network in a training step, relative to those without any plan.

    A forward pass counts 1 and a backward pass 2. A step computes again what it does not keep: once for the network
    (second level), once for the whole step (first level).

    Args:
        plan: of all steps.
    """
    total = sum(3 + (step.network != "plain") + step.image_only for step in plan)
    return Fraction(total, 3 * len(plan))


def describe(plan: Plan) -> str:
    """A plan in words: "both in steps 1 to 9, unet in steps 10 to 12"."""
    names = {step: name for name, step in NAMED.items()}
    parts, start = [], 1
    for step, run in groupby(plan):
        count = len(list(run))
        where = f"step {start}" if count == 1 else f"steps {start} to {start + count - 1}"
        parts.append(f"{names[step]} in {'all steps' if count == len(plan) > 1 else where}")
        start += count
    return ", ".join(parts)
