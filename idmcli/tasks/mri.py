"""Accelerated magnetic resonance imaging."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.ranges import Share
from idmcli.seeds import item_seed
from idmcli.tasks.base import Amount, Shape
from idmcli.tasks.masks import check_ratio, mask_conflicts, read_mask
from idmcli.tasks.ratios import RatioOptions, RatioTask

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
    set."""

    mask: Literal["pseudo-radial", "equispaced", "random-lines", "file"] = "pseudo-radial"  # the sampled points
    acceleration: Annotated[float, Field(ge=1, allow_inf_nan=False)] | None = None  # lines / kept lines; not set: 4
    centre_fraction: Share | None = None  # share of the lines that is always kept in the centre; not set: 0.08
    mask_file: str | None = None  # image of the mask, white = sampled
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
            case "pseudo-radial":
                ratio = DEFAULT_RATIO if options.ratio is None else options.ratio
                check_ratio(ratio, image_shape)
                return {"type": "radial", "fraction": ratio}
            case "file":
                import torch

                mask = read_mask(Path(options.mask_file or ""), image_shape)
                return torch.fft.ifftshift(mask) if options.mask_dc == "centre" else mask
        lines = {
            "acceleration": options.acceleration or DEFAULT_ACCELERATION,
            "centre_fraction": DEFAULT_CENTRE_FRACTION if options.centre_fraction is None else options.centre_fraction,
        }
        if options.mask == "equispaced":
            return {"type": "equispaced", **lines}
        return {"type": "random", **lines, "seed": item_seed(options.seed, item)}

    def amount(self, operator: MRI) -> Amount:
        sampled = float(operator.mask.double().mean())
        coils = operator.measurement_shape[0]
        return Amount(sampled, f"{100 * sampled:.1f} % of k-space" + (f" by {coils} coils" if coils > 1 else ""))

    def ratio(self, options: MRIOptions) -> float | None:
        if options.mask != "pseudo-radial":
            return None
        return DEFAULT_RATIO if options.ratio is None else options.ratio

    def one_size(self, options: MRIOptions) -> bool:
        return options.mask == "file"

    def conflicts(self, options: MRIOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return [*super().conflicts(options), *mask_conflicts(options, OWNER, required={"file": "mask_file"})]


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
