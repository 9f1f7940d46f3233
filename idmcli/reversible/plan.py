"""Memory plans: what every sampling step keeps for the backward pass."""

from __future__ import annotations

from typing import Literal, NamedTuple

from idmcli.reversible.engine import Memory

PlanName = Literal["plain", "checkpoint", "unet", "sampler", "both"]


class StepPlan(NamedTuple):
    """One sampling step.

    Attributes:
        network: what the network keeps of it (second level).
        image_only: keep nothing but the image between the steps, and run the step again (first level).
    """

    network: Memory = "plain"
    image_only: bool = False


Plan = tuple[StepPlan, ...]

NAMED: dict[PlanName, StepPlan] = {
    "plain": StepPlan("plain"),
    "checkpoint": StepPlan("checkpoint"),
    "unet": StepPlan("reversible"),
    "sampler": StepPlan("plain", image_only=True),
    "both": StepPlan("reversible", image_only=True),
}


def named_plan(name: PlanName, steps: int) -> Plan:
    """The same for all steps, except that the backward pass begins with the last: what it needs is there already."""
    step = NAMED[name]
    return (step,) * (steps - 1) + (step._replace(image_only=False),)
