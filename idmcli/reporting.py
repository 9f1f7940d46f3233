"""The listener of long work: it hears what goes on, what may be wrong, and how far the work is."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from idmcli.errors import IdmError


class IdmWarning(UserWarning):
    """Something that did not stop the work but may make its results wrong."""


class Count:
    """A count of finished items; this one is silent.

    Attributes:
        total: how many items there are; None if that is not known.
        before: how many were finished before this work began.
        done: how many are finished.
        part: of the present item, from 0 to 1.
    """

    def __init__(self, total: int | None = None, before: int = 0) -> None:
        self.total = total
        self.before = self.done = before
        self.part = 0.0

    def advance(self, count: int = 1, note: str = "") -> None:
        """Finish ``count`` more items; ``note`` is shown behind the count."""
        self.done += count
        self.part = 0.0

    def note(self, note: str, part: float = 0.0) -> None:
        """Show how far the present item is, in words and as the part of it that is done."""
        self.part = part


class Listener:
    """Hears warnings alone, and passes them on as Python warnings of the category :class:`IdmWarning`."""

    def status(self, message: str) -> None:
        """Hear what goes on."""

    def warning(self, message: str) -> None:
        """Hear what may make the results wrong."""
        warnings.warn(message, IdmWarning, stacklevel=2)

    def failure(self, item: str, error: IdmError) -> None:
        """Hear that one of several inputs failed, and why; the work goes on with the others."""
        self.warning(f"{item}: {error.message}" if item not in error.message else error.message)

    @contextmanager
    def progress(self, total: int | None, what: str, before: int = 0) -> Iterator[Count]:
        """Follow a count of ``total`` items of ``what``, of which ``before`` were finished earlier."""
        yield Count(total, before)
