"""High dynamic range from a clipped picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from idmcli.tasks.base import Amount, OperatorOptions, Seen, Shape, Task

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import HDR


@dataclass(frozen=True)
class HDROptions(OperatorOptions):
    """[operator] of task hdr."""

    gain: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.0  # contrast about middle grey before clipping


class HDRTask(Task[HDROptions]):
    """Values outside the sensor's range are clipped."""

    kind = "hdr"
    summary = "high dynamic range: clipped shadows and highlights"
    options = HDROptions

    def operator_type(self) -> type[HDR]:
        from idmcli.operators import HDR

        return HDR

    def operator(self, options: HDROptions, image_shape: Shape, item: str) -> HDR:
        return self.operator_type()(image_shape, options.gain)

    def seen(self, operator: HDR, y: Tensor) -> Seen:
        return Seen("clipped", y)

    def amount(self, operator: HDR) -> Amount:
        return Amount(1.0, f"contrast times {operator.gain:g}, clipped")


TASK = HDRTask()
