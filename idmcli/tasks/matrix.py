"""A camera, or anything else, that is known by its matrix."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from idmcli.errors import ConfigError, InputError
from idmcli.tasks.base import Amount, OperatorOptions, Shape, Task

if TYPE_CHECKING:
    from idmcli.operators import MatrixOperator


BlockSide = Annotated[int, Field(ge=1, le=2**15)]


@dataclass(frozen=True)
class MatrixOptions(OperatorOptions):
    """[operator] of task matrix."""

    matrix_file: str | None = None  # file of the matrix: .npy, .npz or .mat, dense or sparse; FILE#N is its N-th array
    block: BlockSide | None = None  # side in pixels of the blocks that the matrix measures; not set: the whole image


class MatrixTask(Task[MatrixOptions]):
    """The columns of the matrix are the pixels of the image, row by row, or of each block of it."""

    kind = "matrix"
    summary = "a matrix of your own, of any size and scaling"
    options = MatrixOptions

    def operator_type(self) -> type[MatrixOperator]:
        from idmcli.operators import MatrixOperator

        return MatrixOperator

    def operator(self, options: MatrixOptions, image_shape: Shape, item: str) -> MatrixOperator:
        return self.operator_type()(read_matrix(options.matrix_file or ""), image_shape, options.block)

    def amount(self, operator: MatrixOperator) -> Amount:
        return Amount(operator.ratio, f"{100 * operator.ratio:.1f} % measurements per pixel")

    def one_size(self, options: MatrixOptions) -> bool:
        return options.block is None

    def conflicts(self, options: MatrixOptions) -> Sequence[tuple[tuple[str, ...], str]]:
        return [] if options.matrix_file else [(("matrix_file",), "name the file of the matrix")]

    def identity(self, operator: MatrixOperator) -> Mapping[str, Any]:
        return {"matrix_sha256": operator.to_spec()["matrix_sha256"]}


def read_matrix(name: str) -> Any:
    """The matrix in a file, a NumPy array of two dimensions or a sparse matrix of SciPy's.

    Args:
        name: the file, or FILE#N for one of several arrays in it.

    Raises:
        ConfigError: naming the file, if it cannot be read or holds no matrix.
    """
    values = read_numbers("matrix", name)
    if values.ndim != 2:
        raise ConfigError(f"the matrix {name!r} has the shape {values.shape}", "give one of two dimensions")
    return values


def read_numbers(what: str, name: str) -> Any:
    """An array in a file of numbers that an option names.

    Args:
        what: what it is, for messages.
        name: the file, or FILE#N for one of several arrays in it.

    Raises:
        ConfigError: naming the file, if it cannot be read.
    """
    from idmcli.io.files import require_file
    from idmcli.io.formats import Numbers, format_of
    from idmcli.io.items import Item

    item = Item.parse(name)
    try:
        require_file(item.path)
        format = format_of(item.path)
        if format is None or format.gives is not Numbers:
            raise InputError(f"{str(item)!r} is no file of numbers", "save it as .npy, .npz or .mat")
        return format.read(item).values
    except InputError as error:
        raise ConfigError(f"the {what} {error.message}", error.hint) from error


TASK = MatrixTask()
