"""Inpainting."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from idmcli.ranges import Count, CountOrZero, Positive
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Seen, Shape
from idmcli.tasks.masks import check_ratio, extreme_mask, mask_conflicts, mask_notes, mask_path, read_mask
from idmcli.tasks.ratios import VALIDATION_RATIOS, RatioOptions, RatioTask

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Inpainting

DEFAULT_RATIOS = {"random": 0.3, "strokes": 0.8}
DEFAULT_WIDTH = 4.0
OWNER = {  # of a key: the masks it belongs to
    "ratio": "random|strokes",
    "stroke_width": "strokes",
    "boxes": "boxes",
    "mask_file": "file",
}


@dataclass(frozen=True)
class InpaintingOptions(RatioOptions):
    """[operator] of task inpainting; the ratio is the fraction of the pixels that are kept: if it is not set, 0.3 for
    pixels at random, and 0.8 with strokes, which are scratches. A mixed mask is for training: random pixels,
    or strokes as thin as letters or as wide as holes, another for each batch."""

    mask: Literal["random", "strokes", "boxes", "file", "mixed"] = "random"  # which pixels are known
    stroke_width: Positive | None = None  # width of what strokes lose, in pixels; not set: 4
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
        ratio, seed = self.ratio(options), item_seed(options.seed, item)
        if ratio is not None:
            check_ratio(ratio, image_shape)
        match options.mask:
            case "random":
                return {"type": "random", "ratio": ratio, "seed": seed}
            case "strokes":
                return {"type": "strokes", "ratio": ratio, "width": options.stroke_width or DEFAULT_WIDTH, "seed": seed}
            case "mixed":
                return _mixed(options, image_shape, seed)
            case "boxes":
                return {"type": "boxes", "boxes": [list(box) for box in options.boxes]}
            case "file":
                return read_mask(mask_path(Path(options.mask_file or ""), item), image_shape)

    def seen(self, operator: Inpainting, y: Tensor) -> Seen:
        return Seen("masked", operator.AT(y))

    def amount(self, operator: Inpainting) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % of the pixels")

    def ratio(self, options: InpaintingOptions) -> float | None:
        return DEFAULT_RATIOS.get(options.mask) if options.ratio is None else options.ratio

    def validation(self, options: InpaintingOptions) -> Sequence[InpaintingOptions]:
        if options.mask != "mixed":
            return super().validation(options)
        each = [replace(options, mask="random", ratio=ratio) for ratio in VALIDATION_RATIOS]
        return [*each, replace(options, mask="strokes")]

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


def _mixed(options: InpaintingOptions, image_shape: Shape, seed: int) -> dict[str, Any]:
    """Random pixels, or strokes from thin and short to as wide as a quarter of the image."""
    import numpy as np

    rng = np.random.default_rng(seed)
    if rng.integers(2):
        ratio = rng.uniform(options.ratio_min, options.ratio_max)
        return {"type": "random", "ratio": ratio, "seed": seed}
    side = min(image_shape[1:])
    width = float(np.exp(rng.uniform(0, np.log(max(2, side / 4)))))
    length = max(width, float(rng.uniform(3, 1.5 * side)))
    return {"type": "strokes", "ratio": rng.uniform(0.6, 0.95), "width": width, "length": length, "seed": seed}


TASK = InpaintingTask()
