"""The files that may be opened for reading, and how much of them may be read."""

from __future__ import annotations

import stat
from io import SEEK_END
from pathlib import Path
from typing import BinaryIO

from idmcli.errors import InputError

PERMISSIONS = "check its permissions and the disk"  # where the system does not let a file be read


def require_file(path: Path) -> None:
    """Refuse what is no regular file: to open a FIFO, a socket or a device could wait for ever.

    Raises:
        InputError: ``path`` is missing, a folder or no regular file, or the system does not let it be looked at.
    """
    name = repr(str(path))
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):  # ValueError: a name with a null character
        raise InputError(f"{name} does not exist", "check the path") from None
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}", PERMISSIONS) from error
    if stat.S_ISDIR(mode):
        raise InputError(f"{name} is a folder, not a file", "name a file")
    if not stat.S_ISREG(mode):
        raise InputError(f"{name} is not a regular file", "copy what it gives into a file")


class Within:
    """A file from its start, of which no more is asked for than it holds: to ask for 4 GiB takes 4 GiB of memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, file.seek(0, SEEK_END)
        self.seek, self.tell = file.seek, file.tell
        file.seek(0)

    def read(self, count: int = -1) -> bytes:
        """At most ``count`` bytes; all that are left if it is negative."""
        left = max(0, self._size - self._file.tell())
        return self._file.read(min(count, left) if count >= 0 else left)
