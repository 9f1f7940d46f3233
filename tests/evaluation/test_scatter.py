"""Who is worth the price, and plots."""

from __future__ import annotations

import math

import pytest

from idmcli.evaluation.scatter import CHARACTER, front, said, scatter
from idmcli.evaluation.tables import Summary


def summary(method: str, psnr: float, seconds: float, evaluations: float = 0) -> Summary:
    return Summary("d", method, 0.3, 1, psnr, 0.0, 0.9, 0.0, seconds, "30 %", evaluations)


FOUR = [summary("best", 40, 9), summary("slow", 39, 50), summary("quick", 20, 0.01), summary("middle", 30, 1)]


def test_the_front_holds_what_nothing_beats() -> None:
    assert [s.method for s in front(FOUR)] == ["quick", "middle", "best"]
    assert [s.method for s in front([summary("a", 30, 1), summary("b", 30, 2), summary("c", 31, 1)])] == ["c"]
    assert [s.method for s in front([summary("a", math.nan, 1), summary("b", math.inf, 2)])] == ["b"]


def test_better_is_up_and_slower_is_to_the_right() -> None:
    plot = scatter(FOUR)
    assert plot is not None
    by_name = {point.summary.method: point for point in plot.points}
    assert by_name["quick"].x < by_name["middle"].x < by_name["best"].x < by_name["slow"].x
    assert by_name["quick"].y > by_name["middle"].y > by_name["slow"].y > by_name["best"].y
    assert [p.summary.method for p in plot.points if p.on_front] == ["best", "quick", "middle"]
    left, top, right, bottom = plot.frame
    assert all(left <= p.x <= right and top <= p.y <= bottom for p in plot.points)
    assert [tick.label for tick in plot.seconds] == ["0.01", "0.1", "1", "10", "100"]
    assert by_name["middle"].x == pytest.approx(plot.seconds[2].place)  # one second
    assert {"20", "30", "40"} <= {tick.label for tick in plot.psnr}
    thirty = next(tick for tick in plot.psnr if tick.label == "30")
    assert by_name["middle"].y == pytest.approx(thirty.place)


def test_names_stand_apart_though_their_points_are_near() -> None:
    plot = scatter([summary(f"method{n}", 30 + n / 10, 1 + n / 10) for n in range(4)] + [summary("far", 10, 0.01)])
    assert plot is not None
    boxes = [(p.label_x, p.label_y, p.label_x + CHARACTER * len(p.summary.method)) for p in plot.points]
    for n, (left, base, right) in enumerate(boxes):
        for other_left, other_base, other_right in boxes[:n]:
            assert right <= other_left or other_right <= left or abs(base - other_base) > 10


def test_plots_of_little() -> None:
    assert scatter([summary("same", math.inf, 1)]) is None
    plot = scatter([summary("only", 30, 0.0), summary("same", math.inf, 1)])  # too fast for the clock
    assert plot is not None and [point.summary.method for point in plot.points] == ["only"]
    assert plot.path.startswith("M") and "nan" not in plot.path


def test_what_is_said() -> None:
    assert said(summary("vamp", 37.526, 5.07, 20)) == "vamp: 37.53 dB in 5.1 s, 20 network evaluations"
    assert said(summary("tv", 31.0, 512.3)) == "tv: 31.00 dB in 512 s"
