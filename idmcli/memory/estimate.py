"""The memory and time of a training before its start: the memory is computed, the time follows from a few steps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch

from idmcli import learned
from idmcli.memory.measured import measure_apart
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import Plan, named_plan

if TYPE_CHECKING:
    from idmcli.config import Config


@dataclass(frozen=True)
class Estimate:
    """The memory and time of one training.

    Attributes:
        memory: peak of a step in bytes; None for kinds of model whose steps are not computed.
        seconds: of all iterations; None likewise, or where no step was timed.
    """

    memory: int | None = None
    seconds: float | None = None


def estimate(config: Config, device: torch.device | None) -> Estimate:
    """The memory exactly, and the time from steps on one crop.

    Args:
        config: of the training.
        device: where to time steps; None to time none.
    """
    if not learned.find(config.model.kind).computes_steps:
        return Estimate()
    plan, memory = plan_of(config), ComputedStep(config).memory(plan_of(config)).peak
    if device is None:
        return Estimate(memory)
    t = config.training
    one = replace(config, training=replace(t, batch=1, accumulate=1, compile=False))
    measured = measure_apart(one, plan, device)
    seconds = None if measured is None else measured.milliseconds / 1000 * t.batch * t.iterations
    return Estimate(memory, seconds)


def plan_of(config: Config) -> Plan | None:
    """The memory plan that [training] names, "unet" where it is chosen later; None if the model keeps everything."""
    steps, name = learned.find(config.model.kind).memory_steps(config), config.training.memory
    return named_plan("unet" if name == "auto" else name, steps) if steps else None
