"""Deblurring of what a camera recorded through its response curve."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from idmcli.tasks.base import Amount, Seen, Shape, Task
from idmcli.tasks.kernels import BlurOptions, blur_of, kernel_conflicts, kernel_text

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import NonlinearBlur


@dataclass(frozen=True)
class NonlinearDeblurOptions(BlurOptions):
    """[operator] of task nonlinear_deblur."""

    kernel: Literal["gaussian", "motion", "file"] = "motion"


class NonlinearDeblurTask(Task[NonlinearDeblurOptions]):
    """The blur is known and acts on light, not on pixel values. A motion comes from the seed and the image's name."""

    kind = "nonlinear_deblur"
    summary = "nonlinear deblurring: a shaken camera with a response curve"
    options = NonlinearDeblurOptions

    def operator_type(self) -> type[NonlinearBlur]:
        from idmcli.operators import NonlinearBlur

        return NonlinearBlur

    def operator(self, options: NonlinearDeblurOptions, image_shape: Shape, item: str) -> NonlinearBlur:
        return self.operator_type()(blur_of(options, image_shape, item))

    def seen(self, operator: NonlinearBlur, y: Tensor) -> Seen:
        return Seen("blurred", y)

    def amount(self, operator: NonlinearBlur) -> Amount:
        return Amount(1.0, f"{kernel_text(operator.blur)} in linear light")

    def conflicts(self, options: NonlinearDeblurOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return kernel_conflicts(options)


TASK = NonlinearDeblurTask()
