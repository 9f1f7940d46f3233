"""A table for people: for each variant, data set and ratio the mean over seeds and the spread."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any

from idmcli.sizes import format_size
from idmcli.studies.results import Row


@dataclass(frozen=True)
class Line:
    """The rows of one variant, data set and ratio, over seeds.

    Attributes:
        rows: one for each seed.
    """

    rows: Sequence[Row]

    def mean(self, name: str) -> float | None:
        """The mean of a number over the seeds that have it; None if none has."""
        values = self._values(name)
        return fmean(values) if values else None

    def spread(self, name: str) -> float | None:
        """The standard deviation over the seeds (divided by n - 1); None below two."""
        values = self._values(name)
        return stdev(values) if len(values) > 1 else None

    def _values(self, name: str) -> list[float]:
        return [value for row in self.rows if (value := getattr(row, name)) is not None]


def lines_of(rows: Iterable[Row]) -> list[Line]:
    """The rows that differ by their seed alone, together."""
    groups: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.variant, row.dataset, row.setting or row.ratio), []).append(row)
    return [Line(group) for group in groups.values()]


def table(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The cells of each line, without the columns that would be empty throughout."""
    lines = [_cells(line) for line in lines_of(rows)]
    kept = [key for key in (lines[0] if lines else ()) if any(line[key] not in ("", "-") for line in lines)]
    return [{key: line[key] for key in kept} for line in lines]


def _cells(line: Line) -> dict[str, str]:
    row = line.rows[0]
    percent = "-" if row.ratio is None else f"{100 * row.ratio:g} %"
    return {
        "variant": row.variant,
        "data": row.dataset,
        "ratio": row.setting or percent,
        "PSNR": _number(line.mean("psnr"), 2),
        "± seeds": _number(line.spread("psnr"), 2),
        "± images": _number(line.mean("psnr_std"), 2),
        "SSIM": _number(line.mean("ssim"), 4),
        "s/image": _number(line.mean("seconds"), 2),
        "evaluations": _number(line.mean("evaluations"), 0),
        "training s": _number(line.mean("training_seconds"), 0),
        "step memory": _size(line.mean("step_memory")),
        "largest batch": _number(line.mean("largest_batch"), 0),
        "paper": row.paper,
        "failed": next((row.failed for row in line.rows if row.failed), ""),
    }


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _size(value: float | None) -> str:
    return "-" if value is None else format_size(round(value))
