"""Block compressed sensing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.errors import ConfigError
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Shape
from idmcli.tasks.ratios import RatioOptions, RatioTask

if TYPE_CHECKING:
    from idmcli.operators import CompressedSensing

DEFAULT_RATIO = 0.3
NEAR = 0.05  # to the ratio that is asked for, relative to it


@dataclass(frozen=True)
class CompressedSensingOptions(RatioOptions):
    """[operator] of task cs; the ratio is of measurements per pixel, 0.3 if it is not set."""

    block: Annotated[int, Field(ge=2, le=64)] = 32  # side of a block in pixels
    permutation: Literal["global", "none"] = "global"  # global: all pixels are shuffled before they are cut into blocks


class CompressedSensingTask(RatioTask[CompressedSensingOptions]):
    """The ratio is the number of measurements per pixel. The matrix comes from the seed. The permutations of an image,
    one for each colour, come from the seed and the image's name.
    """

    kind = "cs"
    summary = "block compressed sensing: orthonormal Gaussian measurements of shuffled pixels"
    options = CompressedSensingOptions

    def operator_type(self) -> type[CompressedSensing]:
        from idmcli.operators import CompressedSensing

        return CompressedSensing

    def operator(self, options: CompressedSensingOptions, image_shape: Shape, item: str) -> CompressedSensing:
        if self.ratio(options) * options.block**2 < 0.5:
            smallest = 1 / options.block**2
            raise ConfigError(f"a ratio of {options.ratio:g} measures nothing", f"the smallest ratio is {smallest:g}")
        shuffled = options.permutation == "global"
        return self.operator_type()(
            image_shape,
            self.ratio(options),
            block=options.block,
            seed=options.seed,
            permutation=options.permutation,
            permutation_seed=_permutation_seed(options.seed, item, image_shape[0]) if shuffled else None,
        )

    def amount(self, operator: CompressedSensing) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % measurements per pixel")

    def ratio(self, options: CompressedSensingOptions) -> float:
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def nearer(self, options: CompressedSensingOptions, image_shape: Shape) -> str:
        asked = self.ratio(options)

        def miss(block: int) -> float:
            return abs(_measured_ratio(asked, block, image_shape) - asked)

        blocks = [block for block in range(options.block - 1, 1, -1) if asked * block**2 >= 0.5]
        best = next((block for block in blocks if miss(block) <= NEAR * asked), min(blocks, key=miss, default=0))
        if not best or miss(best) >= miss(options.block):
            return ""
        return f"with --set operator.block={best} they would be {100 * _measured_ratio(asked, best, image_shape):.1f} %"

    def identity(self, operator: CompressedSensing) -> Mapping[str, Any]:
        return {"permutation": "global" if operator.mixing else "none"}


def _measured_ratio(ratio: float, block: int, image_shape: Shape) -> float:
    """Measurements per pixel of an image that is padded to whole blocks."""
    blocks = math.prod(-(-size // block) for size in image_shape[1:])
    return blocks * math.ceil(ratio * block**2 - 1e-9) / math.prod(image_shape[1:])


def _permutation_seed(seed: int, item: str, channels: int) -> int | list[int]:
    """The seed for an image, or one for each of its colours; the first is as if it were alone."""
    first = item_seed(seed, item)
    others = [item_seed(seed, f"{item}, channel {channel}") for channel in range(1, channels)]
    return [first, *others] if others else first


TASK = CompressedSensingTask()
