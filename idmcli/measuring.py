"""From a picture and a configuration to an operator and its measurements."""

from __future__ import annotations

import hashlib
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from idmcli.config import Config
from idmcli.config.schema import DEFAULT_RATIO, ONE_CHANNEL
from idmcli.errors import ConfigError, InputError
from idmcli.io.images import Image, luminance, read_image
from idmcli.io.measurements import Measurements, Provenance
from idmcli.operators import MRI, CompressedSensing, Inpainting, LinearOperator, ParallelBeamCT, add_noise

Shape = tuple[int, int, int]

LINE_MASKS = {"equispaced": "equispaced", "random-lines": "random"}  # to the operators' names

INSTEAD_OF_RATIO = {
    "boxes": "boxes",
    "file": "mask_file",
    "equispaced": "acceleration",
    "random-lines": "acceleration",
}


class Simulation(NamedTuple):
    """Measurements (1, \\*measurement_shape) of a picture, the operator that took them, the seed of the noise."""

    operator: LinearOperator
    y: Tensor
    noise_seed: int | None


def item_seed(seed: int, item: str) -> int:
    """A seed in [0, 2^32) from a seed and a name, so that no result depends on the order of the files."""
    return int.from_bytes(hashlib.sha256(f"{seed}/{item}".encode("utf-8", "surrogateescape")).digest()[:4], "big")


def ratio_of(config: Config) -> float | None:
    """The ratio that a configuration asks for; None where something else decides (a file, boxes, lines, views)."""
    kind, mask = config.task.kind, config.operator.mask
    if kind not in DEFAULT_RATIO or mask not in (None, "random", "pseudo-radial"):
        return None
    return config.operator.ratio or DEFAULT_RATIO[kind]


def require_ratio(config: Config) -> float:
    """The ratio of a configuration; InputError naming the key to set instead where it has none."""
    ratio = ratio_of(config)
    if ratio is None:
        kind, mask = config.task.kind, config.operator.mask
        name, key = ("task ct", "views") if kind == "ct" else (f"the {mask} mask", INSTEAD_OF_RATIO[mask or ""])
        raise InputError(f"{name} takes no ratio", f"set operator.{key} instead, with --set")
    return ratio


def select_channels(image: Image, config: Config) -> Image:
    """The picture as it is measured: itself, or its luminance with a note.

    Luminance if ``task.channels`` is 1 or the task measures one channel (mri, ct).

    Raises:
        InputError: a grey picture where ``task.channels`` is 3.
    """
    wanted = 1 if config.task.kind in ONE_CHANNEL else config.task.channels
    if image.pixels.ndim == 2:
        if wanted == 3:
            raise InputError(f"{str(image.path)!r} is grey, and colour is asked for", "leave out --colour rgb")
        return image
    if wanted != 1:
        return image
    pixels = luminance(image.pixels).astype(np.float32)
    return replace(image, pixels=pixels, notes=(*image.notes, "colours reduced to luminance"))


def to_batch(image: Image) -> Tensor:
    """The pixels as a batch of one, (1, C, H, W) with C = 1 or 3, float32 in [0, 1]."""
    pixels = torch.from_numpy(image.pixels)
    return (pixels[None] if pixels.ndim == 2 else pixels.permute(2, 0, 1)).contiguous()[None]


def build_operator(config: Config, image_shape: Shape, item: str) -> LinearOperator:
    """The operator of [task] and [operator] for an image.

    Args:
        config: its ``operator.seed`` is that of the cs matrix.
        image_shape: (C, H, W).
        item: name of the image; with the seed it gives the permutation and the random masks.

    Raises:
        InputError: the operator cannot be built, or does not fit the image.
    """
    options = config.operator
    match config.task.kind:
        case "cs":
            return _compressed_sensing(config, image_shape, item)
        case "inpainting":
            return Inpainting(image_shape, _mask(config, image_shape, item))
        case "mri":
            maps = coil_maps(options.coils, image_shape[1:]) if options.coils > 1 else None
            mask = _mask(config, image_shape, item)
            return MRI(image_shape, mask, dc=options.mask_dc, sensitivity=maps)
        case "ct":
            return ParallelBeamCT(image_shape, options.views, detectors=options.detectors)


def simulate(image: Image, config: Config) -> Simulation:
    """Measure a picture: ``y = A x + n`` with the noise of ``operator.noise``; errors as :func:`measure`."""
    image = select_channels(image, config)
    x, item = to_batch(image), image.path.name
    operator = build_operator(config, (x.shape[1], x.shape[2], x.shape[3]), item)
    y = operator.A(x)
    if config.operator.noise == 0:
        return Simulation(operator, y, None)
    seed = item_seed(config.operator.seed, f"{item}/noise")
    return Simulation(operator, add_noise(y, config.operator.noise, seed), seed)


def measure(image: Image, config: Config, provenance: Provenance) -> Measurements:
    """The measurements of a picture, ready to be saved.

    Raises:
        InputError: the operator cannot be built or does not fit the picture, or the picture is grey
            where colour is asked for.
    """
    return pack(simulate(image, config), image, config, provenance)


def pack(simulation: Simulation, image: Image, config: Config, provenance: Provenance) -> Measurements:
    """What :func:`simulate` made of ``image`` and ``config``, with all that a file has to hold."""
    operator, y, noise_seed = simulation
    return Measurements(
        y=y[0],
        arrays=operator.arrays(),
        spec=operator.to_spec(),
        colour="grey" if operator.image_shape[0] == 1 else "rgb",
        provenance=provenance,
        bits=16 if image.bits == 16 else 8,
        noise=config.operator.noise,
        noise_seed=noise_seed,
    )


def coil_maps(coils: int, shape: tuple[int, int]) -> Tensor:
    """Simulated receive sensitivities, complex64 (coils, H, W), with ``sum_c |s_c|^2 = 1`` at every pixel.

    The coils stand evenly on a circle around the image. Each falls off as a Gaussian of the distance
    and its phase turns by half a cycle across the image, along its own direction.
    """
    rows = torch.linspace(-1, 1, shape[0], dtype=torch.float64)[:, None]
    columns = torch.linspace(-1, 1, shape[1], dtype=torch.float64)
    angles = (2 * math.pi * torch.arange(coils, dtype=torch.float64) / coils)[:, None, None]
    sin, cos = angles.sin(), angles.cos()
    magnitude = torch.exp(-((rows - 1.5 * sin) ** 2 + (columns - 1.5 * cos) ** 2) / 2)
    magnitude = magnitude / magnitude.square().sum(0).sqrt()
    return torch.polar(magnitude, angles + math.pi / 2 * (rows * sin + columns * cos)).to(torch.complex64)


def _compressed_sensing(config: Config, image_shape: Shape, item: str) -> LinearOperator:
    options = config.operator
    shuffled = options.permutation == "global"
    operator = CompressedSensing(
        image_shape,
        ratio_of(config) or 0.0,
        block=options.block,
        seed=options.seed,
        permutation=options.permutation,
        permutation_seed=item_seed(options.seed, item) if shuffled else None,
    )
    if 0 in operator.measurement_shape:
        smallest = 1 / options.block**2
        raise ConfigError(f"a ratio of {options.ratio:g} measures nothing", f"the smallest ratio is {smallest:g}")
    return operator


def _mask(config: Config, image_shape: Shape, item: str) -> Tensor | dict[str, Any]:
    """What :class:`Inpainting` and :class:`MRI` take for the mask that is asked for."""
    options, seed = config.operator, item_seed(config.operator.seed, item)
    match options.mask or ("random" if config.task.kind == "inpainting" else "pseudo-radial"):
        case "random":
            return {"type": "random", "ratio": ratio_of(config), "seed": seed}
        case "boxes":
            return {"type": "boxes", "boxes": [list(box) for box in options.boxes]}
        case "pseudo-radial":
            return {"type": "radial", "fraction": ratio_of(config)}
        case "file":
            return read_mask(Path(options.mask_file or ""), image_shape)
        case lines:
            description = {"acceleration": options.acceleration, "centre_fraction": options.centre_fraction}
            drawn = {"seed": seed} if lines == "random-lines" else {}
            return {"type": LINE_MASKS[lines], **description, **drawn}


def read_mask(path: Path, image_shape: Shape) -> Tensor:
    """The mask in a black-and-white picture, bool (H, W), True where it is white.

    Raises:
        ConfigError: naming the file, if it cannot be read, has colours or grey levels, or is all black.
        InputError: it has another size than the image.
    """
    try:
        pixels, size = read_image(path).pixels, image_shape[1:]
    except InputError as error:
        raise ConfigError(f"the mask {error.message}", error.hint) from error
    if pixels.shape[:2] != size:
        found, wanted = (f"{height} x {width}" for height, width in (pixels.shape[:2], size))
        raise InputError(
            f"the mask {str(path)!r} is {found} pixels (height x width), the image {wanted}",
            "use a mask of the size of the image",
        )
    samples = pixels.reshape(*size, -1)
    white = (samples == 1).all(axis=2)
    if not (white | (samples == 0).all(axis=2)).all():
        raise ConfigError(
            f"the mask {str(path)!r} is not black and white", "save it as a PNG with only 0 (lost) and 255 (kept)"
        )
    if not white.any():
        raise ConfigError(f"the mask {str(path)!r} is all black: nothing is measured", "white is what is kept")
    return torch.from_numpy(white)
