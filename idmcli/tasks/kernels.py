"""Options and kernels from files, for the tasks with a blur."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from idmcli.errors import ConfigError, InputError
from idmcli.ranges import Positive, Share
from idmcli.seeds import item_seed
from idmcli.tasks.base import OperatorOptions, Shape
from idmcli.tasks.masks import choice_conflicts, grey_levels

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.operators import Blur

DEFAULT_SIZE, DEFAULT_STD, DEFAULT_INTENSITY = 61, 3.0, 0.5
OWNER = {"size": "gaussian|motion", "std": "gaussian", "intensity": "motion", "kernel_file": "file"}


@dataclass(frozen=True)
class BlurOptions(OperatorOptions):
    """[operator] of the tasks with a blur."""

    kernel: Literal["gaussian", "motion", "file"] = "gaussian"  # the kind of the blur
    size: Annotated[int, Field(ge=1, le=1001)] | None = None  # gaussian, motion: odd side of the kernel; not set: 61
    std: Positive | None = None  # gaussian: standard deviation in pixels; not set: 3
    intensity: Share | None = None  # motion: from 0, straight, to 1, a scribble; not set: 0.5
    kernel_file: str | None = None  # file: grey picture of a blurred point
    boundary: Literal["reflect", "circular"] = "reflect"  # beyond the edges: a mirror image, or the other side


def blur_of(options: BlurOptions, image_shape: Shape, item: str) -> Blur:
    """The blur; a motion comes from the seed and the image's name."""
    from idmcli.operators import Blur
    from idmcli.operators.kernels import motion_kernel

    size = options.size or DEFAULT_SIZE
    kernel: Tensor | dict[str, Any]
    match options.kernel:
        case "gaussian":
            kernel = {"type": "gaussian", "size": size, "std": options.std or DEFAULT_STD}
        case "motion":
            intensity = DEFAULT_INTENSITY if options.intensity is None else options.intensity
            kernel = motion_kernel(size, intensity, item_seed(options.seed, item))
        case "file":
            kernel = read_kernel(Path(options.kernel_file or ""))
    return Blur(image_shape, kernel, boundary=options.boundary)


def read_kernel(path: Path) -> Tensor:
    """The kernel in a grey picture, (K, L), which may be saved in colour with equal channels.

    Raises:
        ConfigError: naming the file, if it cannot be read, has colours, or is all black.
    """
    import torch

    from idmcli.io.images import read_image

    try:
        pixels = grey_levels(read_image(path).pixels)
    except InputError as error:
        raise ConfigError(f"the kernel {error.message}", error.hint) from error
    if pixels is None:
        raise ConfigError(f"the kernel {str(path)!r} has colours", "save it as a grey picture")
    if not pixels.any():
        raise ConfigError(f"the kernel {str(path)!r} is all black", "it must show a blurred white point")
    return torch.from_numpy(pixels)


def kernel_text(blur: Blur) -> str:
    """A blur for people."""
    if blur.description["type"] == "gaussian":
        return f"Gaussian blur of {blur.description['std']:g} pixels"
    return f"blur by a kernel of {' x '.join(map(str, blur.kernel.shape))} pixels"


def kernel_conflicts(options: BlurOptions) -> Sequence[tuple[tuple[str, ...], str]]:
    """Keys of another kind of kernel, and an even size."""
    found = choice_conflicts("kernel", options, OWNER, required={"file": "kernel_file"})
    if options.size is not None and options.size % 2 == 0:
        found.append((("size",), "the size of a kernel is odd, so that it has a centre"))
    return found
