"""The picture of memory over T: whole steps, one unit, a title that fits."""

from __future__ import annotations

import pytest

from idmcli.memory.plot import memory_figure

pytest.importorskip("matplotlib", reason="it is an extra")
TITLE = "cs-tiny: tiny [32, 96, 192] network, batch 4, 128 x 128 pixels, float32, adamw, torch 2.13.0+cpu"


def test_whole_steps_one_unit_and_a_title_inside_the_picture() -> None:
    figure = memory_figure(TITLE, [1, 2, 3], {"plain": [60 * 2**20, 90 * 2**20, 120 * 2**20], "both": [50 * 2**20] * 3})
    figure.canvas.draw()
    (axes,) = figure.axes
    low, high = axes.get_xlim()
    assert [tick for tick in axes.get_xticks() if low <= tick <= high] == [1, 2, 3]
    assert axes.get_ylabel().endswith("in MiB")
    assert [list(line.get_ydata()) for line in axes.lines] == [[60, 90, 120], [50] * 3]
    box = axes.title.get_window_extent()
    assert box.x0 >= 0 and box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height
    assert axes.title.get_text().replace("\n", " ") == TITLE


def test_large_sizes_are_in_gibibytes() -> None:
    figure = memory_figure("t", [3], {"plain": [5 * 2**30]})
    assert figure.axes[0].get_ylabel().endswith("in GiB") and figure.axes[0].lines[0].get_ydata()[0] == 5
