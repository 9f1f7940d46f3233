"""Pictures of a study's results: PSNR and memory of each variant, and PSNR over network evaluations and seconds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Any, cast

from idmcli.io.atomic import write_bytes
from idmcli.studies.results import Row
from idmcli.studies.summary import Line, lines_of

Series = Mapping[str, Mapping[str, tuple[float, float]]]  # mean and spread by line and variant
Point = tuple[float, float, float]  # network evaluations, seconds, PSNR in dB
Curves = Mapping[tuple[str, str], Sequence[Point]]  # by data set with ratio, and method


def plot_results(folder: Path, title: str, rows: Sequence[Row]) -> list[Path]:
    """Draw what there is into a folder; nothing where matplotlib is missing.

    ``psnr.svg`` and ``memory.svg`` have a row for each variant. ``price.svg`` has PSNR over network evaluations and
    over seconds, with a curve for each method. It is drawn where variants of one method differ in their evaluations.

    Args:
        folder: to write to.
        title: above the axes.
        rows: of the study.

    Returns:
        The files that were written.

    Raises:
        ResourceError: the folder cannot be written to.
    """
    if find_spec("matplotlib") is None:
        return []
    lines = lines_of(rows)
    written = []
    for name, label, series in (
        ("psnr", "PSNR in dB", _psnr(lines)),
        ("memory", "peak of a training step in GiB", _memory(lines)),
    ):
        if series:
            written.append(folder / f"{name}.svg")
            write_bytes(written[-1], _drawn(title, label, series))
    curves = _curves(lines)
    if any(len({evaluations for evaluations, _, _ in points}) > 1 for points in curves.values()):
        written.append(folder / "price.svg")
        write_bytes(written[-1], _drawn_curves(title, curves))
    return written


def _curves(lines: Sequence[Line]) -> Curves:
    """The points of each data set, ratio and method, by evaluations."""
    found: dict[tuple[str, str], list[tuple[float, float, float]]] = {}
    for line in lines:
        point = tuple(line.mean(name) for name in ("evaluations", "seconds", "psnr"))
        if None not in point:
            found.setdefault((_column(line), line.rows[0].method), []).append(cast(Point, point))
    return {key: sorted(points) for key, points in found.items()}


def _drawn_curves(title: str, curves: Curves) -> bytes:
    """An SVG with a row of two plots for each data set and ratio: PSNR over evaluations, and over seconds."""
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    columns = list(dict.fromkeys(column for column, _ in curves))
    methods = list(dict.fromkeys(method for _, method in curves))
    figure = Figure(figsize=(8.4, 1 + 2.6 * len(columns)), layout="constrained")
    plots = figure.subplots(len(columns), 2, squeeze=False, sharey="row")
    for (column, method), points in curves.items():
        evaluations, seconds, psnr = zip(*points, strict=True)
        for axes, places in zip(plots[columns.index(column)], (evaluations, seconds), strict=True):
            axes.plot(places, psnr, "o-", color=f"C{methods.index(method)}", label=method)
    for column, (left, right) in zip(columns, plots, strict=True):
        left.set(xlabel="network evaluations", ylabel=f"PSNR in dB, {column}")
        right.set(xlabel="seconds for a picture", xscale="log")
        for axes in (left, right):
            axes.grid(visible=True, alpha=0.3)
        left.legend()
    figure.suptitle(title, fontsize="medium")
    return _svg(figure)


def _psnr(lines: Sequence[Line]) -> Series:
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for line in lines:
        row, mean = line.rows[0], line.mean("psnr")
        if mean is not None:
            found.setdefault(_column(line), {})[row.variant] = mean, line.spread("psnr") or 0.0
    return found


def _column(line: Line) -> str:
    row = line.rows[0]
    return f"{row.dataset}, {row.setting or f'{100 * (row.ratio or 0):g} %'}"


def _memory(lines: Sequence[Line]) -> Series:
    peaks = {line.rows[0].variant: mean for line in lines if (mean := line.mean("step_memory")) is not None}
    return {"computed": {name: (peak / 2**30, 0.0) for name, peak in peaks.items()}} if peaks else {}


def _drawn(title: str, label: str, series: Series) -> bytes:
    """An SVG with a row for each variant and a mark for each series."""
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    names = list(dict.fromkeys(name for values in series.values() for name in values))
    figure = Figure(figsize=(7.2, 1.6 + 0.3 * len(names)), layout="constrained")
    axes = figure.add_subplot()
    for text, values in series.items():
        places = [names.index(name) for name in values]
        means, spreads = zip(*values.values(), strict=True)
        axes.errorbar(means, places, xerr=spreads, fmt="o", capsize=3, label=text)
    axes.set_yticks(range(len(names)), names)
    axes.invert_yaxis()
    axes.set(xlabel=label)
    axes.set_title(title, fontsize="medium")
    axes.grid(visible=True, alpha=0.3)
    if len(series) > 1:
        axes.legend()
    return _svg(figure)


def _svg(figure: Any) -> bytes:
    data = BytesIO()
    figure.savefig(data, format="svg")
    return data.getvalue()
