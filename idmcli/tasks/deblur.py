"""Deblurring."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from idmcli.tasks.base import Amount, Shape, Task
from idmcli.tasks.kernels import BlurOptions, blur_of, kernel_conflicts, kernel_text

if TYPE_CHECKING:
    from idmcli.operators import Blur


@dataclass(frozen=True)
class DeblurOptions(BlurOptions):
    """[operator] of task deblur."""


class DeblurTask(Task[DeblurOptions]):
    """The blur is known. A motion comes from the seed and the image's name."""

    kind = "deblur"
    summary = "deblurring: out of focus, a shaken camera, or any kernel"
    options = DeblurOptions
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {  # with less, hqs fills what a motion hides with stripes
        "hqs": {"weight": 0.45, "sigma_start": 0.3, "sigma_end": 0.012}
    }

    def operator_type(self) -> type[Blur]:
        from idmcli.operators import Blur

        return Blur

    def operator(self, options: DeblurOptions, image_shape: Shape, item: str) -> Blur:
        return blur_of(options, image_shape, item)

    def amount(self, operator: Blur) -> Amount:
        return Amount(1.0, kernel_text(operator))

    def best_methods(self, operator: Blur, noise: float = 0.0) -> Sequence[str]:
        return ("hqs",)

    def conflicts(self, options: DeblurOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return kernel_conflicts(options)

    def identity(self, operator: Blur) -> Mapping[str, Any]:
        return {"kernel": operator.description["type"]}


TASK = DeblurTask()
