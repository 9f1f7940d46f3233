"""The error hierarchy and the exit codes it maps to.

The core raises these; only :func:`idmcli.cli.main` prints them. Codes: 0 ok, 1 a requested check
failed, 2 usage, configuration or input, 3 numerical failure, 4 out of resources, 70 internal error,
129 / 130 / 143 stopped by SIGHUP / Ctrl-C / SIGTERM.
"""

from __future__ import annotations

import errno
import os


class IdmError(Exception):
    """A failure the user can act on.

    Args:
        message: what went wrong and where, one sentence.
        hint: what to do next, or an empty string.
    """

    exit_code = 70

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class CheckFailed(IdmError):
    """A check the user asked for (a threshold, a gate) did not hold."""

    exit_code = 1


class InputError(IdmError):
    """Wrong usage, or an input file, option or combination of them that cannot be used."""

    exit_code = 2


class ConfigError(InputError):
    """A configuration with one or more problems, all reported at once."""


class NumericalError(IdmError):
    """A computation left the finite numbers or did not converge."""

    exit_code = 3


class ResourceError(IdmError):
    """Out of memory, disk space or permission to write."""

    exit_code = 4


class MemoryShortage(ResourceError):
    """Out of memory, by one of several inputs: a smaller one may fit."""


class ReportedElsewhere(IdmError):
    """A failure that another process of the same command reports."""

    def __init__(self, exit_code: int) -> None:
        super().__init__("")
        self.exit_code = exit_code


FULL_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EROFS}
BAD_NAME = {errno.ENAMETOOLONG, errno.ELOOP}


def error_of(failure: Exception) -> IdmError:
    """The error for any exception: an :class:`IdmError` as it is, and what the system or nobody foresaw in words."""
    if isinstance(failure, IdmError):
        return failure
    if out_of_memory(failure):
        return MemoryShortage("out of memory", "use a smaller image or batch, or another --device or --method")
    if isinstance(failure, OSError) and failure.errno in BAD_NAME:
        return InputError(f"{str(failure.filename)!r} is no name of a file: {os.strerror(failure.errno)}", "check it")
    if isinstance(failure, OSError) and failure.errno in FULL_DISK:
        where = f" ({failure.filename})" if failure.filename else ""
        return ResourceError(f"cannot write: {os.strerror(failure.errno)}{where}", "free some space or write elsewhere")
    reason = str(failure).strip().partition("\n")[0]
    return IdmError(f"internal error: {type(failure).__name__}: {reason}", "run it again with --debug and report it")


_MEMORY = ("can't allocate memory", "Cannot allocate memory", "not enough memory", "bad_alloc", "out of memory")


def out_of_memory(failure: BaseException) -> bool:
    """Whether Python or a library ran out of memory; PyTorch is not imported to find out."""
    return (
        isinstance(failure, MemoryError)
        or type(failure).__name__ == "OutOfMemoryError"
        or (isinstance(failure, OSError) and failure.errno == errno.ENOMEM)
        or (isinstance(failure, RuntimeError | ImportError) and any(words in str(failure) for words in _MEMORY))
    )
