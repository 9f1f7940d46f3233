"""A picture of memory over T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

from idmcli.errors import InputError
from idmcli.io.atomic import write_bytes

FORMATS = (".png", ".svg", ".pdf")


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
    """Peak memory over T, one line for each plan.

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
    from matplotlib.figure import Figure  # type: ignore[import-not-found, unused-ignore]

    figure = Figure(figsize=(6.4, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for name, values in peaks.items():
        axes.plot(steps, [value / 2**30 for value in values], marker="o", markersize=4, label=name)
    axes.set(xlabel="sampling steps T", ylabel="peak memory of a training step in GiB", yscale="log")
    axes.set_title(title, fontsize="medium")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend()
    data = BytesIO()
    figure.savefig(data, format=path.suffix.lower().removeprefix("."), dpi=150)
    write_bytes(path, data.getvalue(), replace=replace)
