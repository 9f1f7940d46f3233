"""Super-resolution."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.tasks.base import Amount, OperatorOptions, Seen, Shape, Task

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import SuperResolution


@dataclass(frozen=True)
class SuperResolutionOptions(OperatorOptions):
    """[operator] of task sr."""

    factor: Annotated[int, Field(ge=2, le=64)] = 4  # pixels of the image for one measured pixel, along each side
    filter: Literal["bicubic", "average"] = "bicubic"  # how several pixels become one


class SuperResolutionTask(Task[SuperResolutionOptions]):
    """The factor takes the place of a ratio."""

    kind = "sr"
    summary = "super-resolution: a picture of fewer pixels"
    options = SuperResolutionOptions

    def operator_type(self) -> type[SuperResolution]:
        from idmcli.operators import SuperResolution

        return SuperResolution

    def operator(self, options: SuperResolutionOptions, image_shape: Shape, item: str) -> SuperResolution:
        return self.operator_type()(image_shape, options.factor, filter=options.filter)

    def seen(self, operator: SuperResolution, y: Tensor) -> Seen:
        _, height, width = operator.image_shape
        pixels = y.repeat_interleave(operator.factor, 2).repeat_interleave(operator.factor, 3)
        return Seen("low resolution", pixels[..., :height, :width])

    def amount(self, operator: SuperResolution) -> Amount:
        small, large = (" x ".join(map(str, s[1:])) for s in (operator.measurement_shape, operator.image_shape))
        return Amount(operator.ratio, f"{small} of {large} pixels")

    def identity(self, operator: SuperResolution) -> Mapping[str, Any]:
        return {"factor": operator.factor, "filter": operator.filter}


TASK = SuperResolutionTask()
