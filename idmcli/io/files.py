"""Which files may be opened for reading."""

from __future__ import annotations

import stat
from pathlib import Path

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
