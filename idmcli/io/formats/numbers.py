"""Files of plain numbers: arrays and matrices of NumPy, SciPy and MATLAB, and tables of text."""

from __future__ import annotations

import math
import warnings
import zipfile
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io import hdf5
from idmcli.io.extras import optional
from idmcli.io.files import PERMISSIONS, Within, require_file
from idmcli.io.formats.base import MAX_PIXELS, Format, head_of
from idmcli.io.items import Item
from idmcli.io.matlab import load_variable
from idmcli.text import escape

MAX_BYTES = 2**32  # of one array once it is unpacked
MAX_HEADER = 2**16  # bytes of the header of a NumPy array
MAX_TEXT = 2**28  # bytes of a table
SMALL = 2**20  # bytes of a file that never fills a memory, unless it is damaged
INFLATED = 1032  # bytes that deflate makes of one, at most
SPARSE = {"data", "indices", "indptr", "shape", "format"}  # of scipy.sparse.save_npz


@dataclass(frozen=True, eq=False)
class Numbers:
    """An array in a file that does not say what it means.

    Attributes:
        values: a NumPy array of numbers, or a sparse matrix of SciPy's.
        name: in the file; empty if it has none.
    """

    values: Any
    name: str = ""


class NumbersFormat(Format[Numbers]):
    """A format of arrays; each array is an item."""

    gives = Numbers

    @abstractmethod
    def arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        """The arrays of numbers in a file: name and shape, in the order of the file. Errors as :meth:`read`."""

    @abstractmethod
    def array(self, path: Path, name: str) -> Any:
        """One of them. Errors as :meth:`read`."""

    def items(self, path: Path) -> list[Item]:
        count = len(self._arrays(path))
        return [Item(path)] if count == 1 else [Item(path, number) for number in range(1, count + 1)]

    def read(self, item: Item, *, max_pixels: int = MAX_PIXELS) -> Numbers:
        """One array.

        Raises:
            InputError: the file is missing, damaged or holds no numbers; holds several arrays and the item names none,
                or not the one it names; holds objects; or claims far too many numbers.
        """
        arrays = self._arrays(item.path)
        names = list(arrays)
        if item.number is None and len(names) > 1:
            listed = ", ".join(f"#{number} {escape(name)}" for number, name in enumerate(names[:8], start=1))
            raise InputError(f"{str(item)!r} holds {len(names)} arrays: {listed}", "name one as FILE#N")
        number = item.number or 1
        if number > len(names):
            raise InputError(f"{str(item)!r} is not there: the file holds {len(names)} arrays", "N runs from 1")
        with reading(self, item.path):
            values = self.array(item.path, names[number - 1])
        return Numbers(values, names[number - 1])

    def _arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        require_file(path)
        with reading(self, path):
            arrays = self.arrays(path)
        if not arrays:
            raise InputError(f"{str(path)!r} holds no array of numbers", "check which file it is")
        return arrays


class Npy(NumbersFormat):
    """One array of NumPy's."""

    name = "NumPy array"
    suffixes = (".npy",)

    def recognises(self, path: Path) -> bool:
        return _head(path).startswith(b"\x93NUMPY")

    def arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        with path.open("rb") as file:
            shape, _ = _npy_header(Within(file), path.stat().st_size)
        return {"": shape}

    def array(self, path: Path, name: str) -> Any:
        return np.load(path, allow_pickle=False)


class Npz(NumbersFormat):
    """Several arrays of NumPy's, or one sparse matrix of SciPy's."""

    name = "NumPy archive"
    suffixes = (".npz",)

    def recognises(self, path: Path) -> bool:
        if not _head(path).startswith(b"PK\x03\x04"):
            return False
        try:
            with zipfile.ZipFile(path) as archive:
                return any(name.endswith(".npy") for name in archive.namelist())
        except (OSError, zipfile.BadZipFile, ValueError, RuntimeError):
            return True  # damaged, as reading it says

    def arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        found = {}
        with zipfile.ZipFile(path) as archive:
            for info in archive.infolist():
                if not info.filename.endswith(".npy"):
                    continue
                with archive.open(info) as file:
                    most = INFLATED * min(info.compress_size, path.stat().st_size)
                    shape, kind = _npy_header(file, min(info.file_size, most))
                if kind in "biufc" or info.filename == "format.npy":
                    found[info.filename.removesuffix(".npy")] = shape
        if found.keys() >= SPARSE:
            return {"sparse matrix": ()}
        return {name: shape for name, shape in found.items() if name != "format"}

    def array(self, path: Path, name: str) -> Any:
        if name == "sparse matrix":
            return optional("scipy.sparse", "sparse matrices").load_npz(path)
        with np.load(path, allow_pickle=False) as archive:
            return archive[name]


class Mat(NumbersFormat):
    """Variables of MATLAB: files of version 5 through SciPy, and of version 7.3, which are HDF5."""

    name = "MATLAB"
    suffixes = (".mat",)
    kinds: ClassVar[frozenset[str]] = frozenset(
        {
            "double",
            "single",
            "logical",
            "sparse",
            *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)),
        }
    )

    def recognises(self, path: Path) -> bool:
        return _head(path).startswith(b"MATLAB ")

    def arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        if self.is_hdf5(path):
            with hdf5.hdf5_file(path) as file:
                names = [name for name in file.names() if not name.startswith("#") and "/" not in name]
                return {name: file.shape(name)[::-1] for name in names if _is_numeric(file.dtype(name))}
        listed = optional("scipy.io", "MATLAB files").whosmat(path)
        found = {name: tuple(shape) for name, shape, kind in listed if kind in self.kinds}
        for name, shape in found.items():
            _check_bytes(name, math.prod(shape) * 8)
        for name, shape, kind in listed:
            if kind in self.kinds - {"sparse"} and math.prod(shape) > INFLATED * path.stat().st_size:
                raise ValueError(f"{name} claims more numbers than the file can hold")
        return found

    def array(self, path: Path, name: str) -> Any:
        if self.is_hdf5(path):
            with hdf5.hdf5_file(path) as file:
                return matlab_array(file.read(name))
        return load_variable(path, name)

    @staticmethod
    def is_hdf5(path: Path) -> bool:
        """Whether a file of MATLAB's is of version 7.3."""
        with path.open("rb") as file:
            file.seek(512)
            return file.read(8) == hdf5.SIGNATURE


class Text(NumbersFormat):
    """A table of numbers as text: CSV, or separated by blanks, tabs or semicolons."""

    name = "text table"
    suffixes = (".csv", ".txt", ".tsv", ".dat")

    def recognises(self, path: Path) -> bool:
        head = _head(path)
        return path.suffix.lower() in self.suffixes and bool(head) and b"\0" not in head

    def arrays(self, path: Path) -> Mapping[str, tuple[int, ...]]:
        return {"": self.array(path, "").shape}

    def array(self, path: Path, name: str) -> Any:
        if path.stat().st_size > MAX_TEXT:
            raise ValueError(f"more than {MAX_TEXT // 2**20} MiB of text")
        text = path.read_bytes().decode("utf-8-sig")
        lines = [line for line in text.splitlines() if line.strip() and not line.lstrip().startswith(("#", "%"))]
        delimiter = next((mark for mark in (",", ";", "\t") if lines and mark in lines[0]), None)
        if lines and not _is_row(lines[0], delimiter):
            lines = lines[1:]  # the names of the columns
        if not lines:
            raise ValueError("it has no line of numbers")
        return np.loadtxt(lines, delimiter=delimiter, ndmin=2)


def matlab_array(values: NDArray[Any]) -> NDArray[Any]:
    """An array of a MATLAB file of version 7.3 as MATLAB shows it: axes in their order, complex numbers as such."""
    if values.dtype.names == ("real", "imag"):
        values = values["real"] + 1j * values["imag"]
    return np.ascontiguousarray(values.T)


def _is_numeric(kind: np.dtype[Any]) -> bool:
    return kind.kind in "biufc" or kind.names == ("real", "imag")


def _is_row(line: str, delimiter: str | None) -> bool:
    try:
        [float(cell) for cell in line.split(delimiter)]
    except ValueError:
        return False
    return True


def _npy_header(file: Any, size: int) -> tuple[tuple[int, ...], str]:
    """The shape and the kind of values of a NumPy array, checked against the size of its file."""
    file = BytesIO(file.read(MAX_HEADER))  # which may claim to be of gigabytes
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, _, kind = read(file)
    if kind.hasobject:
        raise ValueError("it holds objects of Python, which are not loaded")
    claimed = math.prod(shape) * kind.itemsize
    _check_bytes("the array", claimed)
    if claimed > size:
        raise ValueError(f"it claims {claimed} bytes and holds {size}")
    return shape, kind.kind


def _check_bytes(name: str, count: int) -> None:
    if count > MAX_BYTES:
        raise ValueError(f"{name} claims {count} bytes, more than can be read")


def _head(path: Path) -> bytes:
    try:
        return head_of(path)
    except InputError:
        return b""


@contextmanager
def reading(format: Format[Any], path: Path) -> Iterator[None]:
    """Make an InputError with the file's name of whatever a decoder raises; what it warns of, damage, is silent."""
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    except InputError:
        raise
    except MemoryError as error:
        if path.stat().st_size > SMALL:
            raise
        raise InputError(f"{str(path)!r} claims more than it can hold", "copy or save it again") from error
    except Exception as error:  # decoders fed with damaged bytes raise nearly anything
        if isinstance(error, OSError) and error.errno is not None:
            raise InputError(f"{str(path)!r} cannot be read: {error.strerror}", PERMISSIONS) from error
        reason = escape(str(error).partition("\n")[0])
        raise InputError(
            f"{str(path)!r} is not a readable {format.name} file (truncated or damaged: {reason})",
            "copy or save it again",
        ) from error
