"""One experiment: a picture is measured, reconstructed and scored. Every command and every validation goes this way."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import fmean
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from idmcli import tasks
from idmcli.config import Config
from idmcli.errors import InputError
from idmcli.io.images import Image, luminance
from idmcli.io.measurements import Measurements, Provenance
from idmcli.io.scale import Scale
from idmcli.library import Method
from idmcli.metrics import psnr, ssim
from idmcli.operators import Operator, Problem, Spec, build_operator
from idmcli.seeds import item_seed
from idmcli.tasks import Amount


@dataclass(frozen=True, eq=False)
class Case:
    """A measured image.

    Attributes:
        operator: what measured it.
        y: measurements (1, \\*measurement_shape).
        noise: standard deviation of their noise.
        noise_seed: what it was drawn from; None without noise.
        bits: 8 or 16, the depth of the picture that was measured.
        truth: (1, C, H, W) in [0, 1], if it is known.
        scale: what 0 and 1 stand for.
        base_seed: what a solver's seed follows from where nothing that was measured is random.
    """

    operator: Operator
    y: Tensor
    noise: float = 0.0
    noise_seed: int | None = None
    bits: int = 8
    truth: Tensor | None = None
    scale: Scale = Scale()
    base_seed: int = 0

    @cached_property
    def spec(self) -> Spec:
        """Of the operator; it takes checksums of its arrays."""
        return self.operator.to_spec()

    @property
    def seed(self) -> int:
        """Of what a solver draws: it follows from what was measured, not from the name of a file."""
        text = json.dumps(self.spec, sort_keys=True)
        return item_seed(self.noise_seed or (0 if "seed" in text else self.base_seed), text)

    @property
    def amount(self) -> Amount:
        """How much was measured."""
        return tasks.task_of(self.operator).amount(self.operator)


class Reconstruction(NamedTuple):
    """What a method made of a case.

    Attributes:
        raw: (N, C, H, W), one image for each sample, real or complex, not clipped.
        seconds: wall-clock time.
        evaluations: of networks, in all (:class:`idmcli.models.evaluations.Evaluations`).
        unknown: the operator's unknown number as a blind method found it, the mean over the samples.
    """

    raw: Tensor
    seconds: float
    evaluations: int = 0
    unknown: float | None = None

    @property
    def x(self) -> Tensor:
        """The images as pictures: magnitudes of complex ones, in [0, 1]."""
        return (self.raw.abs() if self.raw.is_complex() else self.raw).clamp(0, 1)


class Quality(NamedTuple):
    """How near an image is to the truth, by the conventions of :mod:`idmcli.metrics`."""

    psnr: float
    ssim: float


def select_channels(image: Image, config: Config) -> Image:
    """The picture as it is measured: itself, or its luminance with a note.

    Luminance if ``task.channels`` is 1 or the task measures one channel.

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


def operator_for(image: Image, config: Config) -> Operator:
    """What measures a picture, by [task] and [operator].

    Raises:
        InputError: the operator cannot be built or does not fit the picture, or the picture is grey
            where colour is asked for.
    """
    return _operator(to_batch(select_channels(image, config)), image, config)


def _operator(x: Tensor, image: Image, config: Config) -> Operator:
    """What measures the picture x, (1, C, H, W), of a file."""
    task = tasks.find(config.task.kind)
    return task.operator(config.operator, (x.shape[1], x.shape[2], x.shape[3]), image.item.name)


def simulate(image: Image, config: Config) -> Case:
    """Measure a picture by :func:`operator_for`: ``y = A x + n`` with the noise of [operator]; errors alike."""
    x, options = to_batch(select_channels(image, config)), config.operator
    operator = _operator(x, image, config)
    noise_seed = item_seed(options.seed, f"{image.item.name}/noise")
    y, noise = tasks.find(config.task.kind).disturb(operator.A(x), options, noise_seed)
    drawn, bits = noise_seed if noise else None, 16 if image.bits == 16 else 8
    return Case(operator, y, noise, drawn, bits, x, image.scale, options.seed)


def doubts(case: Case, config: Config) -> list[str]:
    """What may be wrong with a measurement that was simulated, though it could be made."""
    asked, amount = tasks.find(config.task.kind).ratio(config.operator), case.amount
    found = []
    if asked is not None and abs(amount.ratio - asked) > asked / 10:
        why = ", for the picture is padded" if case.operator.padded_shape != case.operator.image_shape else ""
        found.append(f"{amount.text} are measured and not {100 * asked:g} %{why}")
    return found


def mask_doubts(case: Case, config: Config) -> list[str]:
    """What makes a mask from a file look as if black and white had changed places."""
    file = getattr(config.operator, "mask_file", None)
    if file is None or 0.01 <= case.amount.ratio <= 0.95:
        return []
    return [f"the mask {file!r} keeps {case.amount.text}; white is what is kept"]


def pack(case: Case, provenance: Provenance) -> Measurements:
    """What a case measured, with all that a file has to hold."""
    return Measurements(
        y=case.y[0],
        arrays=case.operator.arrays(),
        spec=case.spec,
        colour="grey" if case.operator.image_shape[0] == 1 else "rgb",
        provenance=provenance,
        value_range=(case.scale.low, case.scale.high),
        unit=case.scale.unit,
        bits=16 if case.bits == 16 else 8,
        noise=case.noise,
        noise_seed=case.noise_seed,
    )


def unpack(m: Measurements) -> Case:
    """The case of a measurement file, whose truth is not known.

    Raises:
        InputError: the operator cannot be built here, or does not fit the measurements.
    """
    operator = build_operator(m.spec, m.arrays)
    if tuple(m.y.shape) != tuple(operator.measurement_shape):
        raise InputError(
            f"the measurements have shape {tuple(m.y.shape)}, but their operator ({operator.kind}) gives "
            f"{tuple(operator.measurement_shape)}",
            "measure again, or correct the specification",
        )
    if m.colour == "rgb" and operator.image_shape[0] != 3:
        raise InputError(
            f"the measurements are marked as RGB, but the image has {operator.image_shape[0]} channels",
            "measure again with `idm sense`",
        )
    return Case(operator, m.y[None], m.noise, m.noise_seed, m.bits, scale=m.scale)


def solve(
    case: Case,
    method: Method,
    *,
    samples: int = 1,
    seed: int | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reconstruction:
    """Reconstruct a case; errors as :class:`~idmcli.library.Method`.

    Args:
        case: what was measured.
        method: how to reconstruct it.
        samples: how many to draw, with seeds that follow one another.
        seed: of the first; :attr:`Case.seed` if None.
        progress: called with steps done and steps in all, over all samples.
    """
    first = case.seed if seed is None else seed
    problem = Problem(case.operator, case.y, case.noise)

    unknown: dict[int, float] = {}

    def draw(n: int) -> Tensor:
        def told(done: int, total: int, found: float | None = None) -> None:
            if found is not None:
                unknown[n] = found
            progress(n * total + done, samples * total)

        return method(problem, seed=(first + n) % 2**32, progress=told)

    before, start = method.evaluations.count, time.perf_counter()
    raw = torch.cat([draw(n) for n in range(samples)]).cpu()
    seconds, evaluations = time.perf_counter() - start, method.evaluations.count - before
    return Reconstruction(raw, seconds, evaluations, fmean(unknown.values()) if unknown else None)


def score(x: Tensor, truth: Tensor) -> Quality:
    """The quality of an image (1, C, H, W) in [0, 1]."""
    return Quality(float(psnr(x, truth)), float(ssim(x, truth)))
