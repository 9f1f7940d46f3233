"""The ratio of the tasks that have one: training draws it where none is set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, TypeVar

from idmcli.ranges import Ratio
from idmcli.tasks.base import OperatorOptions, Task

if TYPE_CHECKING:
    import numpy as np

VALIDATION_RATIOS = (0.1, 0.3, 0.5)


@dataclass(frozen=True)
class RatioOptions(OperatorOptions):
    """[operator] of tasks with a ratio."""

    ratio: Ratio | None = None  # how much is measured; not set: the task's default, and drawn in training
    ratio_min: Ratio = 0.04  # smallest ratio that training draws, if ratio is not set
    ratio_max: Ratio = 0.5  # largest ratio that training draws, if ratio is not set


Options = TypeVar("Options", bound=RatioOptions)


class RatioTask(Task[Options]):
    """A task whose training draws the ratio, wherever :meth:`ratio` has one and the options do not."""

    def _drawn(self, options: Options) -> bool:
        return options.ratio is None and self.ratio(options) is not None

    def conflicts(self, options: Options) -> Sequence[tuple[tuple[str, ...], str]]:
        if options.ratio_min > options.ratio_max:
            return [(("ratio_min", "ratio_max"), "ratio_min must not exceed ratio_max")]
        return []

    def vary(self, options: Options, rng: np.random.Generator) -> Options:
        if not self._drawn(options):
            return options
        return replace(options, ratio=rng.uniform(options.ratio_min, options.ratio_max))

    def largest(self, options: Options) -> Options:
        return replace(options, ratio=options.ratio_max) if self._drawn(options) else options

    def validation(self, options: Options) -> Sequence[Options]:
        if not self._drawn(options):
            return [options]
        return [replace(options, ratio=ratio) for ratio in VALIDATION_RATIOS]
