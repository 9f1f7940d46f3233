"""Deblurring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from idmcli.tasks.base import Amount, Seen, Shape, Task
from idmcli.tasks.kernels import BlurOptions, blur_of, kernel_conflicts, kernel_text

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Blur


@dataclass(frozen=True)
class DeblurOptions(BlurOptions):
    """[operator] of task deblur."""


class DeblurTask(Task[DeblurOptions]):
    """The blur is known. A motion comes from the seed and the image's name."""

    kind = "deblur"
    summary = "deblurring: out of focus, a shaken camera, or any kernel"
    options = DeblurOptions

    def operator_type(self) -> type[Blur]:
        from idmcli.operators import Blur

        return Blur

    def operator(self, options: DeblurOptions, image_shape: Shape, item: str) -> Blur:
        return blur_of(options, image_shape, item)

    def seen(self, operator: Blur, y: Tensor) -> Seen:
        return Seen("blurred", y)

    def amount(self, operator: Blur) -> Amount:
        return Amount(1.0, kernel_text(operator))

    def conflicts(self, options: DeblurOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return kernel_conflicts(options)

    def identity(self, operator: Blur) -> Mapping[str, Any]:
        return {"kernel": operator.description["type"]}


TASK = DeblurTask()
