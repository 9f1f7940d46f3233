"""Scores on the disk while they are computed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from idmcli.errors import ConfigError, InputError
from idmcli.evaluation.tables import COLUMNS, Score, to_row
from idmcli.io.atomic import append_text, write_text
from idmcli.io.tables import csv_line


@dataclass
class ScoreLog:
    """A CSV file that gains a row with each score: whatever ends the command, it holds complete rows only.

    It is made with the first score. Where it may replace an older file, what was made of that one goes; where it may
    not, no other command's file is touched. Several processes may add to one that :meth:`begin` has begun. In the end
    :func:`~idmcli.evaluation.tables.to_csv` has the same rows in order.

    Attributes:
        path: of the file.
        stale: files that may have been made of an older one.
        replace: whether an older one may be replaced.
        begun: whether this command has begun the file.
    """

    path: Path
    stale: Sequence[Path] = ()
    replace: bool = False
    begun: bool = False

    def begin(self) -> None:
        """Make a file without scores.

        Raises:
            ConfigError: another command has made it meanwhile.
            ResourceError: the folder cannot be written to.
        """
        for file in self.stale if self.replace else ():
            file.unlink(missing_ok=True)
        try:
            write_text(self.path, csv_line(COLUMNS), replace=self.replace)
        except InputError as error:
            raise ConfigError(error.message, error.hint) from error
        self.begun = True

    def add(self, score: Score) -> None:
        """Append a score.

        Raises:
            ConfigError: another command has made the file meanwhile.
            ResourceError: the disk takes no more.
        """
        if not self.begun:
            self.begin()
        append_text(self.path, csv_line(to_row(score)))
