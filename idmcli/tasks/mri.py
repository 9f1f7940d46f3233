"""Accelerated magnetic resonance imaging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.ranges import Share
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Seen, Shape
from idmcli.tasks.masks import check_ratio, extreme_mask, mask_conflicts, mask_notes, mask_path, read_mask
from idmcli.tasks.ratios import VALIDATION_RATIOS, RatioOptions, RatioTask

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import MRI

DEFAULT_RATIO = 0.2
DEFAULT_ACCELERATION, DEFAULT_CENTRE_FRACTION = 4.0, 0.08
LINES = "equispaced|random-lines"
OWNER = {
    "ratio": "pseudo-radial",
    "mask_file": "file",
    "mask_dc": "file",
    "acceleration": LINES,
    "centre_fraction": LINES,
}


@dataclass(frozen=True)
class MRIOptions(RatioOptions):
    """[operator] of task mri; the ratio is the fraction of k-space that a pseudo-radial mask keeps, 0.2 if it is not
    set. A mixed mask is for training: any of the three kinds, another for each batch."""

    mask: Literal["pseudo-radial", "equispaced", "random-lines", "file", "mixed"] = "pseudo-radial"  # what is sampled
    acceleration: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None  # all lines / kept lines; not set: 4
    centre_fraction: Share | None = None  # share of the lines that is always kept in the centre; not set: 0.08
    mask_file: str | None = None  # picture of the mask, white = sampled; or a folder: each image's mask has its name
    mask_dc: Literal["corner", "centre"] | None = None  # where the mask file has the zero frequency; not set: corner
    coils: Annotated[int, Field(ge=1, le=1024)] = 1  # receive coils


class MRITask(RatioTask[MRIOptions]):
    """The ratio is the fraction of k-space that is sampled, by each coil. Random lines come from the seed and the
    image's name.
    """

    kind = "mri"
    summary = "accelerated MRI: some of the spatial frequencies are known"
    options = MRIOptions
    channels = (1,)

    def operator_type(self) -> type[MRI]:
        from idmcli.operators import MRI

        return MRI

    def operator(self, options: MRIOptions, image_shape: Shape, item: str) -> MRI:
        maps = coil_maps(options.coils, image_shape[1:]) if options.coils > 1 else None
        mask = self._mask(options, image_shape, item)
        return self.operator_type()(image_shape, mask, sensitivity=maps)

    def _mask(self, options: MRIOptions, image_shape: Shape, item: str) -> Tensor | dict[str, Any]:
        match options.mask:
            case "mixed":
                return self._mask(_mixed(options, item), image_shape, item)
            case "pseudo-radial":
                ratio = DEFAULT_RATIO if options.ratio is None else options.ratio
                check_ratio(ratio, image_shape)
                return {"type": "radial", "fraction": ratio}
            case "file":
                import torch

                mask = read_mask(mask_path(Path(options.mask_file or ""), item), image_shape)
                return torch.fft.ifftshift(mask) if options.mask_dc == "centre" else mask
        lines = {
            "acceleration": options.acceleration or DEFAULT_ACCELERATION,
            "centre_fraction": DEFAULT_CENTRE_FRACTION if options.centre_fraction is None else options.centre_fraction,
        }
        if options.mask == "equispaced":
            return {"type": "equispaced", **lines}
        return {"type": "random", **lines, "seed": item_seed(options.seed, item)}

    def seen(self, operator: MRI, y: Tensor) -> Seen:
        return Seen("zero-filled", operator.AT(y))

    def amount(self, operator: MRI) -> Amount:
        sampled = float(operator.mask.double().mean())
        coils = operator.measurement_shape[0]
        return Amount(sampled, f"{100 * sampled:.1f} % of k-space" + (f" by {coils} coils" if coils > 1 else ""))

    def ratio(self, options: MRIOptions) -> float | None:
        if options.mask != "pseudo-radial":
            return None
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def validation(self, options: MRIOptions) -> Sequence[MRIOptions]:
        if options.mask != "mixed":
            return super().validation(options)
        each = [replace(options, mask="pseudo-radial", ratio=ratio) for ratio in VALIDATION_RATIOS]
        return [*each, replace(options, mask="random-lines", acceleration=3.0)]

    def doubts(self, options: MRIOptions, operator: MRI, item: str) -> list[str]:
        if options.mask_file is None:
            return []
        path = mask_path(Path(options.mask_file), item)
        found = [*mask_notes(path), *extreme_mask(path, self.amount(operator))]
        if samples_high_frequencies(operator.mask):
            there, other = ("centre", "corner") if options.mask_dc == "centre" else ("corner", "centre")
            found.append(
                f"the mask {str(path)!r} samples little around the zero frequency, which it has at the {there}: "
                f"if it has it at the {other}, say --set operator.mask_dc={other}"
            )
        return found

    def one_size(self, options: MRIOptions) -> bool:
        return options.mask == "file"

    def conflicts(self, options: MRIOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return [*super().conflicts(options), *mask_conflicts(options, OWNER, required={"file": "mask_file"})]


def _mixed(options: MRIOptions, item: str) -> MRIOptions:
    """Pseudo-radial lines in one case of two, and otherwise parallel lines."""
    import numpy as np

    rng = np.random.default_rng(item_seed(options.seed, item))
    if rng.integers(2):
        return replace(options, mask="pseudo-radial", ratio=rng.uniform(options.ratio_min, options.ratio_max))
    mask: Literal["random-lines", "equispaced"] = "random-lines" if rng.random() < 0.7 else "equispaced"
    return replace(options, mask=mask, acceleration=rng.uniform(1.5, 6))


def samples_high_frequencies(mask: Tensor) -> bool:
    """Whether a mask of k-space, DC at the corner, samples the highest frequencies more than the lowest."""
    import torch

    def share(centred: Tensor) -> float:
        """The share of points around the middle, at most an eighth of the points along each side."""
        height, width = centred.shape
        rows, columns = max(1, height // 16), max(1, width // 16)
        middle = centred[height // 2 - rows : height // 2 + rows + 1, width // 2 - columns : width // 2 + columns + 1]
        return float(middle.double().mean())

    low, high = share(torch.fft.fftshift(mask)), share(mask)
    return high > 1.5 * low or (not bool(mask[0, 0]) and high > low)


def coil_maps(coils: int, shape: tuple[int, int]) -> Tensor:
    """Simulated receive sensitivities, complex64 (coils, H, W), with ``sum_c |s_c|^2 = 1`` at every pixel.

    The coils stand evenly on a circle around the image. Each falls off as a Gaussian of the distance
    and its phase turns by half a cycle across the image, along its own direction.
    """
    import torch

    rows = torch.linspace(-1, 1, shape[0], dtype=torch.float64)[:, None]
    columns = torch.linspace(-1, 1, shape[1], dtype=torch.float64)
    angles = (2 * math.pi * torch.arange(coils, dtype=torch.float64) / coils)[:, None, None]
    sin, cos = angles.sin(), angles.cos()
    magnitude = torch.exp(-((rows - 1.5 * sin) ** 2 + (columns - 1.5 * cos) ** 2) / 2)
    magnitude = magnitude / magnitude.square().sum(0).sqrt()
    return torch.polar(magnitude, angles + math.pi / 2 * (rows * sin + columns * cos)).to(torch.complex64)


TASK = MRITask()
