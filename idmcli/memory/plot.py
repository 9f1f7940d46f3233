"""A picture of memory over T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes
from idmcli.memory.tables import unit_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

FORMATS = (".png", ".svg", ".pdf")
TITLE = 64  # characters in a line of the title


def check_plot(path: Path) -> None:
    """Before long work: whether a plot can be made.

    Raises:
        InputError: the ending of ``path`` is none of :data:`FORMATS`, or matplotlib is missing.
    """
    if path.suffix.lower() not in FORMATS:
        raise InputError(f"--plot {str(path)!r} is of no known kind", f"end its name in {', '.join(FORMATS)}")
    if find_spec("matplotlib") is None:
        raise InputError("--plot needs matplotlib, which is not installed", "pip install 'idmcli[plot]'")


def plot_memory(
    path: Path, title: str, steps: Sequence[int], peaks: Mapping[str, Sequence[int]], *, replace: bool = True
) -> None:
    """Draw peak memory over T.

    Args:
        path: where to write, see :func:`check_plot`.
        title: above the axes.
        steps: values of T.
        peaks: bytes, of each plan at each T.
        replace: a file that exists.

    Raises:
        InputError: the file exists and may not be replaced.
        ResourceError: the folder cannot be written to.
    """
    data = BytesIO()
    memory_figure(title, steps, peaks).savefig(data, format=path.suffix.lower().removeprefix("."), dpi=150)
    write_bytes(path, data.getvalue(), replace=replace)


def memory_figure(title: str, steps: Sequence[int], peaks: Mapping[str, Sequence[int]]) -> Figure:
    """The figure that :func:`plot_memory` writes: a line for each plan, in the unit of the tables.

    Args:
        title: above the axes, in as many lines as it needs.
        steps: values of T.
        peaks: bytes, of each plan at each T.
    """
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]
    from matplotlib.ticker import MaxNLocator  # type: ignore[import-not-found, unused-ignore]

    unit, factor = unit_of(size for values in peaks.values() for size in values)
    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, values in peaks.items():
        axes.plot(steps, [value / factor for value in values], marker="o", markersize=4, label=name)
    axes.set(xlabel="sampling steps T", ylabel=f"peak memory of a training step in {unit}", yscale="log")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_title(fill(title, TITLE), fontsize="medium")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    return figure
