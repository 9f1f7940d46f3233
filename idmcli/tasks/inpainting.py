"""Inpainting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from idmcli.ranges import Count, CountOrZero, Ratio
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task
from idmcli.tasks.masks import check_ratio, mask_conflicts, read_mask

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Inpainting

DEFAULT_RATIO = 0.3
OWNER = {"ratio": "random", "boxes": "boxes", "mask_file": "file"}  # of a key: the mask it belongs to


@dataclass(frozen=True)
class InpaintingOptions(OperatorOptions):
    """[operator] of task inpainting."""

    mask: Literal["random", "boxes", "file"] = "random"
    ratio: Ratio | None = None  # random: fraction of the pixels that are kept; not set: 0.3
    boxes: tuple[tuple[CountOrZero, CountOrZero, Count, Count], ...] = ()  # missing: [top, left, height, width]
    mask_file: str | None = None  # image of the mask, white = kept


class InpaintingTask(Task[InpaintingOptions]):
    """The ratio is the fraction of the pixels that are kept. A random mask comes from the seed and the image's name."""

    kind = "inpainting"
    summary = "inpainting: some of the pixels are known"
    options = InpaintingOptions

    def operator_type(self) -> type[Inpainting]:
        from idmcli.operators import Inpainting

        return Inpainting

    def operator(self, options: InpaintingOptions, image_shape: Shape, item: str) -> Inpainting:
        return self.operator_type()(image_shape, self._mask(options, image_shape, item))

    def _mask(self, options: InpaintingOptions, image_shape: Shape, item: str) -> Tensor | dict[str, Any]:
        match options.mask:
            case "random":
                ratio = DEFAULT_RATIO if options.ratio is None else options.ratio
                check_ratio(ratio, image_shape)
                return {"type": "random", "ratio": ratio, "seed": item_seed(options.seed, item)}
            case "boxes":
                return {"type": "boxes", "boxes": [list(box) for box in options.boxes]}
            case "file":
                return read_mask(Path(options.mask_file or ""), image_shape)

    def amount(self, operator: Inpainting) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % of the pixels")

    def best_methods(self, operator: Inpainting, noise: float = 0.0) -> Sequence[str]:
        """With a prior between scattered pixels; what it makes up in holes is further off than a smooth surface."""
        return ("hqs",) if operator.description["type"] == "random" else ("tv", "hqs")

    def ratio(self, options: InpaintingOptions) -> float | None:
        if options.mask != "random":
            return None
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def one_size(self, options: InpaintingOptions) -> bool:
        return options.mask in ("boxes", "file")

    def conflicts(self, options: InpaintingOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return mask_conflicts(options, OWNER, required={"boxes": "boxes", "file": "mask_file"})


TASK = InpaintingTask()
