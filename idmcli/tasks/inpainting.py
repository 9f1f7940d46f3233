"""Inpainting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from idmcli.ranges import Count, CountOrZero
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Seen, Shape
from idmcli.tasks.masks import check_ratio, extreme_mask, mask_conflicts, mask_notes, mask_path, read_mask
from idmcli.tasks.ratios import RatioOptions, RatioTask

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Inpainting

DEFAULT_RATIO = 0.3
OWNER = {"ratio": "random", "boxes": "boxes", "mask_file": "file"}  # of a key: the mask it belongs to


@dataclass(frozen=True)
class InpaintingOptions(RatioOptions):
    """[operator] of task inpainting; the ratio is the fraction of the pixels that a random mask keeps, 0.3 if it is not
    set."""

    mask: Literal["random", "boxes", "file"] = "random"  # which pixels are known
    boxes: tuple[tuple[CountOrZero, CountOrZero, Count, Count], ...] = ()  # missing: [top, left, height, width]
    mask_file: str | None = None  # picture of the mask, white = kept; or a folder: each image's mask has its name


class InpaintingTask(RatioTask[InpaintingOptions]):
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
                return read_mask(mask_path(Path(options.mask_file or ""), item), image_shape)

    def seen(self, operator: Inpainting, y: Tensor) -> Seen:
        return Seen("masked", operator.AT(y))

    def amount(self, operator: Inpainting) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % of the pixels")

    def ratio(self, options: InpaintingOptions) -> float | None:
        if options.mask != "random":
            return None
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def doubts(self, options: InpaintingOptions, operator: Inpainting, item: str) -> list[str]:
        if options.mask_file is None:
            return []
        path = mask_path(Path(options.mask_file), item)
        return [*mask_notes(path), *extreme_mask(path, self.amount(operator))]

    def one_size(self, options: InpaintingOptions) -> bool:
        return options.mask in ("boxes", "file")

    def conflicts(self, options: InpaintingOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        required = {"boxes": "boxes", "file": "mask_file"}
        return [*super().conflicts(options), *mask_conflicts(options, OWNER, required=required)]


TASK = InpaintingTask()
