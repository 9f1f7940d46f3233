"""Pictures of a study's results: PSNR, and memory, of each variant."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from idmcli.io.atomic import write_bytes
from idmcli.studies.results import Row
from idmcli.studies.summary import Line, lines_of

Series = Mapping[str, Mapping[str, tuple[float, float]]]  # mean and spread by line and variant


def plot_results(folder: Path, title: str, rows: Sequence[Row]) -> list[Path]:
    """Draw what there is into a folder: ``psnr.svg`` and ``memory.svg``; nothing where matplotlib is missing.

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
    return written


def _psnr(lines: Sequence[Line]) -> Series:
    found: dict[str, dict[str, tuple[float, float]]] = {}
    for line in lines:
        row, mean = line.rows[0], line.mean("psnr")
        if mean is not None:
            column = row.setting or f"{100 * (row.ratio or 0):g} %"
            found.setdefault(f"{row.dataset}, {column}", {})[row.variant] = mean, line.spread("psnr") or 0.0
    return found


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
    data = BytesIO()
    figure.savefig(data, format="svg")
    return data.getvalue()
