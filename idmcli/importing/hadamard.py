"""The readings of a single-pixel camera that showed Hadamard patterns."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import ConfigError, InputError
from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.importing.matrix import image_shape
from idmcli.importing.readings import Split, arranged, coefficients, saturated, split_of, table_of
from idmcli.io.formats import Numbers
from idmcli.tasks.matrix import read_numbers

if TYPE_CHECKING:
    from torch import Tensor

    from idmcli.io.items import Item
    from idmcli.measuring import Measurement
    from idmcli.operators import Hadamard
    from idmcli.operators.hadamard import Order

FAMILY = "hadamard"
LEAST_FINE = 32  # of the finest patterns, for an estimate of the noise
MAD = 0.6745  # the median of the magnitude of a Gaussian variable of unit variance


@dataclass(frozen=True)
class HadamardImportOptions(ImportOptions):
    """The options for the readings of a single-pixel camera."""

    patterns: str | None = None  # hadamard:ORDER
    shown: str | None = None  # file of the numbers of the patterns that were shown; not set: the first ones
    split: Split | None = None  # how the readings make coefficients; not set: as their number says
    shape: tuple[int, ...] | None = None  # of the image that was measured: H,W


class HadamardImporter(Importer[Numbers, HadamardImportOptions]):
    """Readings under Hadamard patterns, in the orders of :class:`~idmcli.operators.Hadamard`.

    Pairs and phase steps are subtracted. A saturated reading follows from the others of its pattern, or its pattern is
    left out. The offset of 0/1 patterns is the one with which the image is smoothest. The noise is estimated from the
    finest patterns.
    """

    noun = "readings under Hadamard patterns"
    content = Numbers
    options = HadamardImportOptions
    claimed_by = ("patterns",)

    def facts(self, content: Numbers) -> Facts:
        return Facts(
            {"numbers": list(content.values.shape)}, ("the patterns (--patterns)", "the image's size (--shape)")
        )

    def measure(
        self, content: Numbers, options: HadamardImportOptions, item: Item, assumptions: Assumptions
    ) -> Measurement:
        import torch

        from idmcli.measuring import Measurement

        order, shape, name = order_of(options.patterns or ""), field_of(options.shape), repr(str(item))
        pixels = shape[1] * shape[2]
        shown = None if options.shown is None else shown_patterns(options.shown)
        table = table_of(content.values, name, assumptions)
        split = options.split or split_of(table, pixels if shown is None else len(shown), name)
        readings = arranged(table, split, name, assumptions)
        numbers = _numbers(shown, len(readings), pixels, name)
        assumptions.add(f"patterns {_listed(numbers)} in {order} order, pixels in row-major order")

        lost = saturated(readings)
        if split != "phases":
            lost &= (numbers != 0)[:, None]  # the constant pattern is the brightest, and its negative is dark
        found = coefficients(readings, lost, split)
        if lost.any():
            assumptions.add(_left_out(readings, lost, found.kept))
        operator = _operator(shape, numbers[found.kept], order, np.iscomplexobj(found.values))
        unit = sqrt(pixels)  # of y: its patterns have the norm 1, and those that were shown have entries of 1
        values = torch.from_numpy(found.values[found.kept] / unit)
        y = values.to(torch.complex64 if operator.complex_image else torch.float32)[None]
        if split == "binary":
            offset = smoothest_offset(operator, y)
            assumptions.add(f"an offset of {unit * offset / 2:.6g} is subtracted, which makes the image smoothest")
            y = y - offset
        if options.noise is None:
            noise = finest_noise(operator, y)
            known = "is not known" if noise is None else f"{noise * unit / found.noise_gain:.4g} in a reading"
            assumptions.add(f"noise {known}" + ("" if noise is None else ", from the finest patterns"))
        else:
            noise = options.noise * found.noise_gain / unit
        return Measurement(operator, y, noise or 0.0, options.gain, bits=16)


def order_of(patterns: str) -> Order:
    """The order that --patterns names.

    Raises:
        ConfigError: these are no Hadamard patterns, or the order is missing or unknown.
    """
    from idmcli.operators.hadamard import ORDERS

    family, _, order = patterns.partition(":")
    if family != FAMILY:
        raise ConfigError(f"no patterns are called {family!r}", "give the matrix of other patterns by --matrix FILE")
    if order not in ORDERS:
        raise ConfigError(
            f"--patterns {patterns} does not name the order of the patterns",
            f"write {FAMILY}:ORDER, with one of {', '.join(ORDERS)}",
        )
    return cast("Order", order)


def field_of(shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(1, H, W) of --shape.

    Raises:
        InputError: it is missing, of several channels, or of sides that are no powers of two.
    """
    from idmcli.operators.hadamard import pattern_shape

    channels, height, width = image_shape(shape)
    if channels != 1:
        raise InputError("a detector measures one colour at a time", "import each colour by itself: --shape H,W")
    if pattern_shape((1, height, width)) != (height, width):
        near = ",".join(map(str, pattern_shape((1, height, width))))
        raise InputError(
            f"--shape {height},{width}: the sides of Hadamard patterns are powers of two",
            f"give the size of the patterns, {near} perhaps",
        )
    return channels, height, width


def shown_patterns(name: str) -> NDArray[np.int64]:
    """The numbers of patterns in a file of numbers.

    Args:
        name: the file, or FILE#N for one of several arrays in it.

    Raises:
        ConfigError: the file cannot be read, or holds other numbers than integers from 0.
    """
    values = np.asarray(read_numbers("list of patterns", name))
    if values.dtype.kind not in "iuf" or not values.size or not (values == np.abs(np.round(values))).all():
        raise ConfigError(f"--shown {name} does not list the numbers of patterns", "list integers from 0")
    return values.flatten().astype(np.int64)


def _numbers(shown: NDArray[np.int64] | None, count: int, pixels: int, name: str) -> NDArray[np.int64]:
    """The numbers of the patterns that were read: those listed, or the first ones."""
    if shown is not None and len(shown) != count:
        raise InputError(f"{name} holds readings of {count} patterns, and --shown lists {len(shown)}", "check --split")
    if shown is None and count > pixels:
        raise InputError(f"{name} holds readings of {count} patterns, and the image has {pixels}", "check --shape")
    return np.arange(count) if shown is None else shown


def _listed(numbers: NDArray[np.int64]) -> str:
    """The numbers in a few words."""
    if np.array_equal(numbers, np.arange(len(numbers))):
        return f"0 to {len(numbers) - 1}"
    return f"{', '.join(map(str, numbers[:3]))}, ... ({len(numbers)} of them)"


def _left_out(readings: NDArray[Any], lost: NDArray[np.bool_], kept: NDArray[np.bool_]) -> str:
    text = f"{lost.sum()} saturated readings (0 or {readings.max():g}) left out"
    if lost[kept].any():
        text += f", {lost[kept].sum()} of them filled in by the mean that all patterns share"
    return text if kept.all() else f"{text}, {(~kept).sum()} patterns with them"


def _operator(shape: tuple[int, int, int], numbers: NDArray[np.int64], order: Order, is_complex: bool) -> Hadamard:
    import torch

    from idmcli.operators import Hadamard

    every = np.array_equal(numbers, np.arange(shape[1] * shape[2]))
    return Hadamard(shape, None if every else torch.from_numpy(numbers), order=order, complex_image=is_complex)


def smoothest_offset(operator: Hadamard, y: Tensor) -> float:
    """The number c for which the gradients of ``A+ (y - c)`` have the least sum of squares.

    A constant that is added to all coefficients of all patterns is a bright pixel in the corner of the image.

    Args:
        operator: A.
        y: (1, M), real.

    Raises:
        InputError: every offset gives the same gradients.
    """
    import torch

    from idmcli.numerics.differences import gradient

    image, ones = (gradient(operator.pinv(z[None])) for z in (y, torch.ones_like(y)))
    power = float(ones.square().sum())
    if power == 0:
        raise InputError("the offset cannot be found from so few patterns", "subtract it, and give --split signed")
    return float((image * ones).sum()) / power


def finest_noise(operator: Hadamard, y: Tensor) -> float | None:
    """The standard deviation of the noise of y, from its finest coefficients (Donoho and Johnstone, Biometrika, 1994).

    Their patterns change their sign at more than half the pixels, down the columns and along the rows: images have
    little there. The estimate is the median of their magnitudes over 0.6745.

    Args:
        operator: that measured y.
        y: (1, M), real or complex.

    Returns:
        the estimate, of every real number; None with fewer than 32 such coefficients.
    """
    import torch

    from idmcli.operators.hadamard import pattern_rows

    _, height, width = operator.image_shape
    pairs = pattern_rows("sequency-2d", (height, width)).argsort()[operator.index]
    finest = y[:, (pairs // width >= height / 2) & (pairs % width >= width / 2)]
    if finest.numel() < LEAST_FINE:
        return None
    numbers = torch.view_as_real(finest) if finest.is_complex() else finest
    return float(numbers.abs().median()) / MAD


IMPORTER = HadamardImporter()
