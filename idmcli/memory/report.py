"""The cost of training in each memory plan: one step, a sweep over T, the largest batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from idmcli.errors import ResourceError
from idmcli.memory.ghosts import GhostMode
from idmcli.memory.measured import Measured, measure_apart
from idmcli.memory.step import ComputedStep, StepMemory
from idmcli.reversible.plan import NAMED, Plan, named_plan
from idmcli.reversible.planner import choose_plan, describe, extra_passes
from idmcli.sizes import format_size

if TYPE_CHECKING:
    from idmcli.config import Config

Done = Callable[[], None]
LARGEST_BATCH = 4096


@dataclass(frozen=True)
class Row:
    """A training step in one memory plan.

    Attributes:
        name: of the plan.
        plan: what each step keeps.
        memory: computed.
        measured: on a GPU.
    """

    name: str
    plan: Plan
    memory: StepMemory
    measured: Measured | None = None

    def record(self, plain: Row) -> dict[str, Any]:
        """The row in JSON's types, compared with plain autograd's."""
        mine, measured, theirs = self.memory, self.measured, plain.measured
        passes = extra_passes(self.plan)
        return {
            "plan": self.name,
            "steps": describe(self.plan),
            **asdict(mine),
            "step": mine.step,
            "peak": mine.peak,
            "saving": 1 - mine.peak / plain.memory.peak,
            "saving_step": 1 - mine.step / plain.memory.step,
            "saving_activations": 1 - mine.activations / plain.memory.activations,
            "passes": float(passes),
            "passes_fraction": str(passes),
            "measured": measured and asdict(measured),
            "time_ratio": measured.milliseconds / theirs.milliseconds if measured and theirs else None,
        }


def rows(
    config: Config, budget: int | None = None, done: Done = lambda: None, mode: GhostMode | None = None
) -> list[Row]:
    """One row for each named plan; with a budget one more, ``auto``, of the fastest plan within it."""
    computed, steps = ComputedStep(config, mode), config.model.steps
    found = []
    for name in NAMED:
        plan = named_plan(name, steps)
        found.append(Row(name, plan, computed.memory(plan)))
        done()
    if budget is not None:
        plan, _ = choose_plan(steps, budget, lambda plan: computed.memory(plan).peak)
        found.append(Row("auto", plan, computed.memory(plan)))
    return found


def measured(rows: Sequence[Row], config: Config, device: torch.device, done: Done = lambda: None) -> list[Row]:
    """The rows with what a GPU takes, which is nothing where its memory is too small."""
    found = []
    for row in rows:
        found.append(replace(row, measured=measure_apart(config, row.plan, device)))
        done()
    return found


def sweep(config: Config, values: Sequence[int], done: Done = lambda: None) -> dict[int, list[Row]]:
    """:func:`rows` for each T."""
    mode = GhostMode()

    def at(steps: int) -> list[Row]:
        return rows(replace(config, model=replace(config.model, steps=steps)), done=done, mode=mode)

    return {steps: at(steps) for steps in values}


def slopes(table: Mapping[int, Sequence[Row]]) -> dict[str, dict[str, float]]:
    """Mean growth from the least to the largest T, in bytes per step: for each plan the peak and its parts."""
    first, last = min(table), max(table)

    def slope(start: int, end: int) -> float:
        return float(Fraction(end - start, last - first))

    return {
        a.name: {
            part: slope(getattr(a.memory, part), getattr(b.memory, part)) for part in ("peak", "step", "activations")
        }
        for a, b in zip(table[first], table[last], strict=True)
    }


@dataclass(frozen=True)
class Fit:
    """The largest batch that a plan trains within a budget.

    Attributes:
        name: of the plan.
        batch: 0 if not even one crop fits; at most 4096.
        peak: bytes, with that batch, or with one crop where none fits.
    """

    name: str
    batch: int
    peak: int


def fit(config: Config, budget: int, done: Done = lambda: None) -> list[Fit]:
    """The largest batch of each named plan whose peak is within a budget.

    Raises:
        ResourceError: a single crop is too much for every plan.
    """
    computed = ComputedStep(config)

    def peak(plan: Plan, batch: int) -> int:
        return computed.memory(plan, batch).peak

    found = []
    for name in NAMED:
        batch, size = largest(budget, partial(peak, named_plan(name, config.model.steps)))
        found.append(Fit(name, batch, size))
        done()
    leanest = min(found, key=lambda fit: (-fit.batch, fit.peak))
    if leanest.batch == 0:
        raise ResourceError(
            f"{format_size(budget)} is not enough: one crop needs {format_size(leanest.peak)} "
            f"in the leanest plan, {leanest.name}",
            "use a smaller --patch or another --size",
        )
    return found


def largest(budget: int, peak: Callable[[int], int], limit: int = LARGEST_BATCH) -> tuple[int, int]:
    """The largest number within a budget, up to ``limit``, and its peak: (0, peak of 1) if there is none.

    Towards large batches the peak becomes a line, so that one through the last two points soon finds the answer;
    small ones may mislead, so that no guess is more than four times what is known to fit.
    """
    low, high = 0, limit + 1  # low fits, high does not
    peaks = {1: peak(1)}
    guess = 1
    while True:
        low, high = (guess, high) if peaks[guess] <= budget else (low, guess)
        if high - low == 1:
            return low, peaks[low or 1]
        if len(peaks) == 1:
            guess = 2
        else:
            (b, p), (c, q) = list(peaks.items())[-2:]
            guess = c + (budget - q) * (c - b) // max(1, q - p)
            guess = min(max(guess, low + 1), high - 1, 4 * low)
        peaks[guess] = peak(guess)
