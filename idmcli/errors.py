"""The error hierarchy and the exit codes it maps to.

The core raises these; only :func:`idmcli.cli.main` prints them. Codes: 0 ok, 1 a requested check
failed, 2 usage, configuration or input, 3 numerical failure, 4 out of resources, 70 internal error,
129 / 130 / 143 stopped by SIGHUP / Ctrl-C / SIGTERM.
"""

from __future__ import annotations

import errno


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


_MEMORY = ("can't allocate memory", "Cannot allocate memory", "not enough memory", "bad_alloc", "out of memory")


def out_of_memory(failure: BaseException) -> bool:
    """Whether Python or a library ran out of memory; PyTorch is not imported to find out."""
    return (
        isinstance(failure, MemoryError)
        or type(failure).__name__ == "OutOfMemoryError"
        or (isinstance(failure, OSError) and failure.errno == errno.ENOMEM)
        or (isinstance(failure, RuntimeError | ImportError) and any(words in str(failure) for words in _MEMORY))
    )
