"""A single-pixel camera with Hadamard patterns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Shape
from idmcli.tasks.ratios import RatioOptions, RatioTask

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from idmcli.operators import Hadamard

DEFAULT_RATIO = 0.25
Choice = Literal["variable-density", "coarsest"]


@dataclass(frozen=True)
class HadamardOptions(RatioOptions):
    """[operator] of task hadamard; the ratio is the share of the patterns that are shown, 0.25 if it is not set."""

    patterns: Choice = "variable-density"  # variable-density: drawn at random, coarse ones more often
    order: Literal["natural", "sequency", "dyadic", "sequency-2d", "dyadic-2d"] = "natural"  # how patterns are numbered


class HadamardTask(RatioTask[HadamardOptions]):
    """The ratio is the share of the patterns that are shown. Random ones come from the seed and the image's name."""

    kind = "hadamard"
    summary = "single-pixel camera: some of the Hadamard patterns are shown"
    options = HadamardOptions

    def operator_type(self) -> type[Hadamard]:
        from idmcli.operators import Hadamard

        return Hadamard

    def operator(self, options: HadamardOptions, image_shape: Shape, item: str) -> Hadamard:
        import torch

        from idmcli.operators.hadamard import pattern_rows, pattern_shape

        shape = pattern_shape(image_shape)
        pairs = coarsest(shape) if options.patterns == "coarsest" else drawn(shape, item_seed(options.seed, item))
        count = max(1, round(self.ratio(options) * len(pairs)))
        rows = pattern_rows("sequency-2d", shape)[torch.from_numpy(pairs[:count])]
        patterns = pattern_rows(options.order, shape).argsort()[rows].sort().values
        return self.operator_type()(image_shape, patterns, order=options.order)

    def amount(self, operator: Hadamard) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % of the patterns")

    def ratio(self, options: HadamardOptions) -> float:
        return DEFAULT_RATIO if options.ratio is None else options.ratio


def coarsest(shape: tuple[int, int]) -> NDArray[np.int64]:
    """All pairs of sequencies (u, v), as u Q + v, by ``u^2 + v^2``: int64 (P Q,)."""
    return _squares(shape).argsort(kind="stable")


def drawn(shape: tuple[int, int], seed: int) -> NDArray[np.int64]:
    """All pairs of sequencies in random order, those first with a weight of ``1 / (1 + sqrt(u^2 + v^2))^2``.

    The constant pattern is the first. The others are drawn one by one without replacement, as exponential variables of
    these rates order them (Efraimidis and Spirakis, 2006).
    """
    import numpy as np

    weights = 1 / (1 + np.sqrt(_squares(shape))) ** 2
    times = np.random.Generator(np.random.PCG64(seed)).exponential(size=len(weights)) / weights
    times[0] = 0
    return times.argsort(kind="stable")


def _squares(shape: tuple[int, int]) -> NDArray[np.int64]:
    """``u^2 + v^2`` of all pairs."""
    import numpy as np

    height, width = shape
    return (np.arange(height)[:, None] ** 2 + np.arange(width) ** 2).flatten()


TASK = HadamardTask()
