"""Inpainting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from idmcli.ranges import Count, CountOrZero
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Shape, Task
from idmcli.tasks.masks import check_ratio, mask_conflicts, read_mask
from idmcli.tasks.ratios import RatioOptions, RatioTask

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Inpainting

DEFAULT_RATIO = 0.3
REACH = 8  # pixels over which networks see what is around a hole
OWNER = {"ratio": "random", "boxes": "boxes", "mask_file": "file"}  # of a key: the mask it belongs to


@dataclass(frozen=True)
class InpaintingOptions(RatioOptions):
    """[operator] of task inpainting; the ratio is the fraction of the pixels that a random mask keeps, 0.3 if it is not
    set."""

    mask: Literal["random", "boxes", "file"] = "random"
    boxes: tuple[tuple[CountOrZero, CountOrZero, Count, Count], ...] = ()  # missing: [top, left, height, width]
    mask_file: str | None = None  # image of the mask, white = kept


class InpaintingTask(RatioTask[InpaintingOptions]):
    """The ratio is the fraction of the pixels that are kept. A random mask comes from the seed and the image's name."""

    kind = "inpainting"
    summary = "inpainting: some of the pixels are known"
    options = InpaintingOptions
    weights: ClassVar[Mapping[str, str]] = {**Task.weights, "network": "inpainting-tiny"}
    tuned: ClassVar[Mapping[str, Mapping[str, Any]]] = {"tv": {"iterations": 2000, "tolerance": 1e-6}}  # to fill holes

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
        """Between scattered pixels, with the network that was trained end to end; what it or a prior makes up in holes
        is further off than a smooth surface."""
        if operator.description["type"] != "random" and has_holes(operator.mask):
            return ("tv", "hqs")
        return ("idm", "hqs")

    def ratio(self, options: InpaintingOptions) -> float | None:
        if options.mask != "random":
            return None
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def one_size(self, options: InpaintingOptions) -> bool:
        return options.mask in ("boxes", "file")

    def conflicts(self, options: InpaintingOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        required = {"boxes": "boxes", "file": "mask_file"}
        return [*super().conflicts(options), *mask_conflicts(options, OWNER, required=required)]


def has_holes(mask: Tensor) -> bool:
    """Whether a pixel of a mask (H, W), True where known, has no known one within 8 rows and columns."""
    from torch.nn.functional import max_pool2d

    near = mask[None].float()
    for rows, columns in ((REACH, 0), (0, REACH)):  # one after the other: as many steps as a side has, not an area
        near = max_pool2d(near, (2 * rows + 1, 2 * columns + 1), stride=1, padding=(rows, columns))
    return not bool(near.all())


TASK = InpaintingTask()
