"""The simulation of a measurement: a picture is measured by the operator of a task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from idmcli import tasks
from idmcli.config import Config
from idmcli.errors import InputError
from idmcli.io.images import Image, luminance
from idmcli.measuring.measurement import Measurement, Provenance
from idmcli.operators import Operator
from idmcli.seeds import item_seed


def simulate(image: Image, config: Config, provenance: Provenance | None = None) -> Measurement:
    """``y = A x + n`` of a picture, with the operator and the noise of [task] and [operator].

    Args:
        image: the picture; random parts of the operator and the noise depend on its name.
        config: the whole configuration.
        provenance: how the measurement came about, for the record.

    Raises:
        InputError: the operator cannot be built or does not fit the picture, or the picture is grey
            where colour is asked for.
    """
    image, options = select_channels(image, config), config.operator
    operator = _operator(to_batch(image), image, config)

    def disturb(y: Tensor, seed: int) -> tuple[Tensor, float]:
        return tasks.find(config.task.kind).disturb(y, options, seed)

    return measured_by(image, operator, disturb, options.seed, provenance)


def measured_by(
    image: Image,
    operator: Operator,
    disturb: Callable[[Tensor, int], tuple[Tensor, float]],
    seed: int,
    provenance: Provenance | None = None,
) -> Measurement:
    """``y = A x + n`` of a picture, by an operator as it is.

    Args:
        image: the picture, with the channels that are measured.
        operator: A.
        disturb: adds noise to ``A x``, drawn with a seed, and returns the result with the standard deviation.
        seed: of the noise, together with the name of the picture.
        provenance: how the measurement came about, for the record.
    """
    x = to_batch(image)
    noise_seed = item_seed(seed, f"{image.item.name}/noise")
    y, noise = disturb(operator.A(x.to(torch.complex64) if operator.complex_image else x), noise_seed)
    return Measurement(
        operator,
        y[0],
        noise,
        scale=image.scale,
        bits=image.bits,
        truth=x[0],
        provenance=provenance,
        noise_seed=noise_seed if noise else None,
        base_seed=seed,
        geometry=image.geometry,
    )


def operator_for(image: Image, config: Config) -> Operator:
    """The operator that :func:`simulate` measures a picture with; errors alike."""
    return _operator(to_batch(select_channels(image, config)), image, config)


def _operator(x: Tensor, image: Image, config: Config) -> Operator:
    task = tasks.find(config.task.kind)
    return task.operator(config.operator, (x.shape[1], x.shape[2], x.shape[3]), image.item.name)


def select_channels(image: Image, config: Config) -> Image:
    """The picture as it is measured: itself, or its luminance with a note.

    It is the luminance if ``task.channels`` is 1 or the task measures one channel.

    Raises:
        InputError: a grey picture where ``task.channels`` is 3.
    """
    wanted = config.task.channels
    if tasks.find(config.task.kind).channels == (1,):
        wanted = 1
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
