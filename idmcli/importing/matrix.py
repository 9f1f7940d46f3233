"""Numbers that were measured by a known matrix."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING

from idmcli.errors import InputError
from idmcli.importing.base import Assumptions, Facts, Importer, ImportOptions
from idmcli.io.formats import Numbers
from idmcli.ranges import Count

if TYPE_CHECKING:
    from idmcli.io.items import Item
    from idmcli.measuring import Measurement


@dataclass(frozen=True)
class MatrixImportOptions(ImportOptions):
    """The options for numbers that were measured by a matrix."""

    matrix: str | None = None  # file of the matrix, one column for each pixel
    shape: tuple[int, ...] | None = None  # of the image that was measured: H,W or H,W,3
    block: Count | None = None  # the matrix measures blocks of this many pixels a side


class MatrixImporter(Importer[Numbers, MatrixImportOptions]):
    """Numbers y = Phi x, in the row-major order of :class:`~idmcli.operators.MatrixOperator`."""

    noun = "numbers that a matrix measured"
    content = Numbers
    options = MatrixImportOptions
    claimed_by = ("matrix",)

    def facts(self, content: Numbers) -> Facts:
        return Facts({"numbers": list(content.values.shape)}, ("the matrix (--matrix)", "the image's size (--shape)"))

    def measure(
        self, content: Numbers, options: MatrixImportOptions, item: Item, assumptions: Assumptions
    ) -> Measurement:
        import numpy as np
        import torch

        from idmcli.measuring import Measurement
        from idmcli.operators import MatrixOperator
        from idmcli.tasks.matrix import read_matrix

        operator = MatrixOperator(read_matrix(options.matrix or ""), image_shape(options.shape), options.block)
        values = np.asarray(content.values)
        expected = tuple(operator.measurement_shape)
        if values.size != prod(expected):
            size = " x ".join(map(str, operator.image_shape[1:]))
            raise InputError(
                f"{str(item)!r} holds {values.size} numbers, and the matrix gives {prod(expected)} for an image of "
                f"{size} pixels",
                "check --matrix and --shape",
            )
        if np.iscomplexobj(values) and not operator.complex_measurements:
            raise InputError(f"{str(item)!r} holds complex numbers, and the matrix is real", "take their real part")
        kind = torch.complex64 if operator.complex_measurements else torch.float32
        y = torch.from_numpy(np.ascontiguousarray(values)).to(kind).reshape(expected)
        assumptions.add("pixels and numbers in row-major order")
        return Measurement(operator, y, options.noise or 0.0, options.gain, bits=16)


def image_shape(shape: tuple[int, ...] | None) -> tuple[int, int, int]:
    """(C, H, W) of --shape H,W or H,W,3.

    Raises:
        InputError: it is missing, or no size of an image.
    """
    if shape is None:
        raise InputError("the size of the image is not known", "give it: --shape H,W")
    if len(shape) not in (2, 3) or min(shape) < 1 or shape[2:] not in ((), (1,), (3,)):
        raise InputError(f"--shape {','.join(map(str, shape))} is no size of an image", "write H,W or H,W,3")
    return (shape[2] if len(shape) == 3 else 1), shape[0], shape[1]


IMPORTER = MatrixImporter()
