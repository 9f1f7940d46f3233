"""Lines of CSV that neither a terminal nor a spreadsheet takes for anything but text and numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable

from idmcli.text import escape

FORMULA = ("=", "+", "-", "@")  # what begins like this, spreadsheets compute


def csv_line(cells: Iterable[str]) -> str:
    """One line of CSV, with its end.

    A cell that a spreadsheet would compute begins with an apostrophe, which it takes for a mark of text. Controls and
    bytes that are no text are written out.

    >>> csv_line(["=1+1", "-1.5", "a,b"])
    '\\'=1+1,-1.5,"a,b"\\n'
    """
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(map(_plain, cells))
    return text.getvalue()


def _plain(cell: str) -> str:
    return escape(f"'{cell}" if cell.lstrip().startswith(FORMULA) and not _is_number(cell) else cell)


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
