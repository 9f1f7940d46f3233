"""The memory plan of a training: the one that is named, or the fastest within a budget."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from idmcli import learned
from idmcli.distributed import Processes
from idmcli.memory.step import ComputedStep
from idmcli.reversible.plan import Plan, named_plan
from idmcli.reversible.planner import choose_plan, describe
from idmcli.sizes import format_size

if TYPE_CHECKING:
    from idmcli.config import Config


def memory_plan(config: Config, processes: Processes, report: Callable[[str], None] = lambda message: None) -> Plan:
    """The plan of each sampling step for the backward pass: ``training.memory``, or the fastest plan that fits.

    With ``training.memory = "auto"`` the peak of a process's step may reach ``training.memory_budget``, or 90 % of its
    part of what is free on the device; ``report`` is told what was chosen.

    Raises:
        ResourceError: no plan fits.
    """
    t, steps = config.training, learned.find(config.model.kind).memory_steps(config)
    if t.memory != "auto":
        return named_plan(t.memory, steps)
    sharing = processes.neighbours if processes.device.type == "cpu" else 1
    budget = t.memory_budget or int(0.9 * free_memory(processes.device)) // sharing
    computed = ComputedStep(config, processes=processes.size)
    plan, peak = choose_plan(steps, budget, lambda plan: computed.memory(plan).peak)
    report(f"memory plan: {describe(plan)}; computed peak {format_size(peak)} of {format_size(budget)}")
    return plan


def free_memory(device: torch.device) -> int:
    """Bytes that are free on a device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        fields = dict(line.split(":", 1) for line in lines)
        return int(fields["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError):  # not Linux
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
