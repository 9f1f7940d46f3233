"""Sparse-view computed tomography."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from idmcli.operators import ParallelBeamCT

Rays = Annotated[int, Field(ge=1, le=100_000)]


@dataclass(frozen=True)
class CTOptions(OperatorOptions):
    """[operator] of task ct."""

    views: Rays = 60  # projection angles over 180 degrees
    detectors: Rays | None = None  # detector cells; not set: enough for the image's diagonal


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

    def amount(self, operator: ParallelBeamCT) -> Amount:
        views = operator.measurement_shape[1]
        return Amount(operator.ratio, f"{views} views, {100 * operator.ratio:.1f} % measurements per pixel")

    def default_method(self, operator: ParallelBeamCT) -> str:
        return "pinv"


TASK = CTTask()
