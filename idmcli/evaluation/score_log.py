"""Scores on the disk while they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idmcli.evaluation.tables import COLUMNS, Score, csv_line, to_row
from idmcli.io.atomic import append_text, write_text


@dataclass
class ScoreLog:
    """A CSV file that gains a row with each score: whatever ends the command, it holds complete rows only.

    With the first score it replaces an older file, and what was made of that one goes. Several processes may add to one
    that :meth:`begin` has begun. In the end :func:`~idmcli.evaluation.tables.to_csv` has the same rows in order, and
    their means.
    """

    path: Path
    stale: Sequence[Path] = ()  # made of an older file
    begun: bool = False

    def begin(self) -> None:
        """Replace an older file by one without scores, after what was made of it."""
        for file in self.stale:
            file.unlink(missing_ok=True)
        write_text(self.path, csv_line(COLUMNS))
        self.begun = True

    def add(self, score: Score) -> None:
        """Append a score; ResourceError if the disk takes no more."""
        if not self.begun:
            self.begin()
        append_text(self.path, csv_line(to_row(score)))
