"""HDF5 files, read with care: nothing outside the file, no foreign code, and no size that the file does not hold.

HDF5 can name other files by external links, by external storage and by virtual data sets, run filters of other
authors, and claim data of any size. All of these are refused before anything is read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from idmcli.errors import InputError
from idmcli.io.extras import optional
from idmcli.io.files import require_file
from idmcli.text import escape

SIGNATURE = b"\x89HDF\r\n\x1a\n"
MAX_BYTES = 2**32  # of one data set once it is unpacked
MAX_LINKS = 100_000  # in one file
FILTERS = {1: "gzip", 2: "shuffle", 3: "checksum"}  # by HDF5's own numbers


class Hdf5File:
    """An open HDF5 file.

    Attributes:
        name: for messages.
    """

    def __init__(self, file: Any, name: str) -> None:
        self._file, self.name = file, name

    def names(self) -> list[str]:
        """The paths of all data sets, in the order of the file, without following links to other files.

        Raises:
            InputError: there are far too many.
        """
        h5py = optional("h5py", "HDF5 files")
        found: list[str] = []

        def visit(path: str, group: Any, depth: int) -> None:
            if len(found) > MAX_LINKS or depth > 32:
                raise InputError(f"{self.name} holds too many parts", "name a file of one measurement")
            for key in group:
                here = f"{path}{key}"
                if group.get(key, getclass=True, getlink=True) is not h5py.HardLink:
                    continue
                part = group.get(key)
                if isinstance(part, h5py.Group):
                    visit(f"{here}/", part, depth + 1)
                elif isinstance(part, h5py.Dataset):
                    found.append(here)

        visit("", self._file, 0)
        return found

    def __contains__(self, path: str) -> bool:
        return self._part(path) is not None

    def shape(self, path: str) -> tuple[int, ...]:
        """The shape of a data set; errors as :meth:`read`."""
        return tuple(self._dataset(path).shape)

    def dtype(self, path: str) -> np.dtype[Any]:
        """The type of the values of a data set; errors as :meth:`read`."""
        kind: np.dtype[Any] = self._dataset(path).dtype
        return kind

    def read(self, path: str, select: Any = (), *, max_bytes: int = MAX_BYTES) -> NDArray[Any]:
        """The values of a data set, or of a part of it.

        Args:
            path: in the file, "exchange/data" for example.
            select: indices and slices, as NumPy takes them; all values by default.
            max_bytes: more is refused before it is read.

        Raises:
            InputError: the data set is missing, refused (see the module), larger than ``max_bytes``, or damaged.
        """
        data = self._dataset(path)
        self._check_size(path, data, select, max_bytes)
        try:
            return np.asarray(data[select])
        except (OSError, RuntimeError, ValueError, TypeError, IndexError) as error:
            raise InputError(f"{self.name}: {path!r} cannot be read: {escape(str(error))}", "copy it again") from error

    def text(self, path: str, *, max_bytes: int = 2**24) -> str:
        """The text of a data set with one string; errors as :meth:`read`."""
        value: Any = self.read(path, max_bytes=max_bytes)
        while isinstance(value, np.ndarray) and value.size:
            value = value.flat[0]
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def attribute(self, path: str, name: str) -> Any:
        """An attribute of a group or data set; None if it has none of that name, or one that cannot be read."""
        part = self._part(path) if path else self._file
        try:
            return None if part is None else part.attrs.get(name)
        except (OSError, RuntimeError, ValueError, TypeError):
            return None

    def _part(self, path: str, hops: int = 0) -> Any:
        """A group or data set; None if there is none. Links inside the file are followed step by step.

        Raises:
            InputError: a link on the way leads to another file, or in a circle.
        """
        h5py = optional("h5py", "HDF5 files")
        part, keys = self._file, path.strip("/").split("/")
        for place, key in enumerate(keys):
            if not isinstance(part, h5py.Group):
                return None
            link = part.get(key, getlink=True)
            if link is None:
                return None
            if isinstance(link, h5py.SoftLink) and hops < 8:
                base = "" if link.path.startswith("/") else f"{part.name}/"
                return self._part("/".join([f"{base}{link.path}", *keys[place + 1 :]]), hops + 1)
            if not isinstance(link, h5py.HardLink):
                raise InputError(f"{self.name}: {path!r} is a link to another file", "copy the data into one file")
            part = part.get(key)
        return part

    def _dataset(self, path: str) -> Any:
        h5py = optional("h5py", "HDF5 files")
        data = self._part(path)
        if not isinstance(data, h5py.Dataset):
            raise InputError(f"{self.name} holds no data set {path!r}", "check which kind of file it is: `idm info`")
        if data.is_virtual or data.external:
            raise InputError(f"{self.name}: {path!r} lies in another file", "copy the data into one file")
        filters = data.id.get_create_plist()
        for number in range(filters.get_nfilters()):
            code = filters.get_filter(number)[0]
            if code not in FILTERS:
                raise InputError(
                    f"{self.name}: {path!r} is packed by filter {code}, which idm does not run",
                    "write it again with gzip, or unpacked",
                )
        return data

    def _check_size(self, path: str, data: Any, select: Any, max_bytes: int) -> None:
        if data.shape is None:
            raise InputError(f"{self.name}: {path!r} is empty", "copy it again")
        count = _selected(data.shape, select)
        if count * max(data.dtype.itemsize, 1) > max_bytes:
            raise InputError(
                f"{self.name}: {path!r} claims {count} values of {data.dtype.itemsize} bytes, more than can be read",
                "check the file, or cut it into smaller ones",
            )


def looks_like(path: Path, test: Callable[[Hdf5File], bool]) -> bool:
    """Whether a file is HDF5 and passes a test of what is in it; False too for what cannot be read.

    Without the library h5py it is True for all HDF5 files: reading one says what is missing.
    """
    try:
        require_file(path)
        with path.open("rb") as file:
            if file.read(len(SIGNATURE)) != SIGNATURE:
                return False
        if find_spec("h5py") is None:
            return True
        with hdf5_file(path) as content:
            return test(content)
    except (InputError, OSError, RuntimeError, ValueError, KeyError, TypeError):
        return False


def _selected(shape: tuple[int, ...], select: Any) -> int:
    """The number of values that indices and slices select, one for each of the first axes."""
    chosen = select if isinstance(select, tuple) else (select,)
    count = math.prod(shape[len(chosen) :])
    for size, choice in zip(shape, chosen, strict=False):
        if isinstance(choice, slice):
            count *= len(range(*choice.indices(size)))
        elif not isinstance(choice, int | np.integer):
            count *= size
    return count


@contextmanager
def hdf5_file(path: Path) -> Iterator[Hdf5File]:
    """Open an HDF5 file for a block.

    Raises:
        InputError: the file is missing, damaged or no HDF5, or the library h5py is not installed.
    """
    require_file(path)
    h5py = optional("h5py", "HDF5 files")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise InputError(
            f"{str(path)!r} is not a readable HDF5 file (truncated or damaged)", "copy it again"
        ) from error
    with file:
        yield Hdf5File(file, repr(str(path)))
