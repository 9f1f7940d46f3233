"""Sparse-view computed tomography."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from idmcli.tasks.base import Amount, OperatorOptions, Seen, Shape, Task

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from idmcli.operators import ParallelBeamCT

Rays = Annotated[int, Field(ge=1, le=100_000)]

DEFAULT_ATTENUATION = 0.08  # 4 times water, 0.02 per mm, by 1 mm: values 0 .. 1 are -1000 .. 3000 HU


@dataclass(frozen=True)
class CTOptions(OperatorOptions):
    """[operator] of task ct."""

    views: Rays = 60  # projection angles over 180 degrees
    views_min: Rays | None = None  # fewest views that training draws, if both are set
    views_max: Rays | None = None  # most views that training draws
    detectors: Rays | None = None  # detector cells; not set: enough for the image's diagonal
    photons: Annotated[float, Field(ge=1, le=1e15)] | None = None  # photons along each ray; not set: no noise of counts
    attenuation: Annotated[float, Field(ge=1e-6, le=1e6)] | None = None  # mu of a pixel of value 1; not set: 0.08


class CTTask(Task[CTOptions]):
    """Parallel-beam views, equally spaced over 180 degrees; their number takes the place of a ratio."""

    kind = "ct"
    summary = "sparse-view CT: line integrals from a few directions"
    options = CTOptions
    channels = (1,)

    def operator_type(self) -> type[ParallelBeamCT]:
        from idmcli.operators import ParallelBeamCT

        return ParallelBeamCT

    def operator(self, options: CTOptions, image_shape: Shape, item: str) -> ParallelBeamCT:
        return self.operator_type()(image_shape, options.views, detectors=options.detectors)

    def seen(self, operator: ParallelBeamCT, y: Tensor) -> Seen:
        height, views = operator.image_shape[1], operator.measurement_shape[1]
        lines = y.repeat_interleave(max(1, height // views), 2)
        return Seen("sinogram", lines / lines.abs().max().clamp_min(1e-12))

    def amount(self, operator: ParallelBeamCT) -> Amount:
        views = operator.measurement_shape[1]
        return Amount(operator.ratio, f"{views} views, {100 * operator.ratio:.1f} % measurements per pixel")

    def setting(self, options: CTOptions) -> str:
        return f"{options.views} views" if options.views > 1 else "1 view"

    def disturb(self, y: Tensor, options: CTOptions, seed: int) -> tuple[Tensor, float]:
        """Counting noise, and then the Gaussian noise of every task; their variances add."""
        from idmcli.operators import count_photons

        counting = 0.0
        if options.photons is not None:
            y, counting = count_photons(y, options.photons, options.attenuation or DEFAULT_ATTENUATION, seed)
        y, other = super().disturb(y, options, seed)
        return y, math.hypot(counting, other)

    def vary(self, options: CTOptions, rng: np.random.Generator) -> CTOptions:
        if options.views_min is None or options.views_max is None:
            return options
        return replace(options, views=int(rng.integers(options.views_min, options.views_max, endpoint=True)))

    def largest(self, options: CTOptions) -> CTOptions:
        return replace(options, views=options.views_max or options.views)

    def validation(self, options: CTOptions) -> Sequence[CTOptions]:
        numbers = (options.views_min or options.views, options.views_max or options.views)
        return [replace(options, views=views) for views in dict.fromkeys(numbers)]

    def conflicts(self, options: CTOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        found: list[tuple[tuple[str, ...], str]] = []
        least, most = options.views_min, options.views_max
        if least is not None and most is None:
            found.append((("views_min",), "training draws up to operator.views_max, which is not set"))
        if most is not None and least is None:
            found.append((("views_max",), "training draws from operator.views_min, which is not set"))
        if least is not None and most is not None and least > most:
            found.append((("views_min", "views_max"), "views_min must not exceed views_max"))
        if options.attenuation is not None and options.photons is None:
            found.append((("attenuation",), "it is for operator.photons, which is not set"))
        return found


TASK = CTTask()
