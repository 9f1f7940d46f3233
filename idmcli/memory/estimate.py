"""What a training would take, before it is started: its computed memory, and its time by operations counted."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch.utils.flop_counter import FlopCounterMode

from idmcli import learned
from idmcli.config import Config
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import named_plan

CHANNELS, SIDE = 64, 128  # of the convolution by which a device's speed is measured


@dataclass(frozen=True)
class Estimate:
    """Of one training.

    Attributes:
        memory: peak of a step in bytes; None for kinds of model whose steps are not computed.
        seconds: of all iterations; None likewise.
    """

    memory: int | None = None
    seconds: float | None = None


def estimate(config: Config, speed: float) -> Estimate:
    """Memory exactly, and time from the number of operations.

    Args:
        config: of the training.
        speed: operations per second, see :func:`measured_speed`.
    """
    kind, training = learned.find(config.model.kind), config.training
    if not kind.computes_steps:
        return Estimate()
    name = "unet" if training.memory == "auto" else training.memory
    computed, counter = ComputedStep(config), FlopCounterMode(display=False)
    with counter:
        memory = computed.memory(named_plan(name, kind.memory_steps(config)))
    return Estimate(memory.peak, counter.get_total_flops() * training.accumulate * training.iterations / speed)


def measured_speed(device: torch.device, rounds: int = 5) -> float:
    """Operations per second of a 3 x 3 convolution and its gradients on a device, the best of a few rounds."""
    layer = torch.nn.Conv2d(CHANNELS, CHANNELS, 3, padding=1).to(device)
    x = torch.zeros(1, CHANNELS, SIDE, SIDE, device=device, requires_grad=True)
    best = float("inf")
    with FlopCounterMode(display=False) as counter:
        layer(x).sum().backward()
    for _ in range(rounds):
        start = time.perf_counter()
        layer(x).sum().backward()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    flops: int = counter.get_total_flops()
    return flops / best
