"""PSNR over seconds: the methods that are worth their time, and the place of each in a plot."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from idmcli.evaluation.tables import Summary, price_cell

WIDTH, HEIGHT = 560.0, 340.0
LEFT, RIGHT, TOP, BOTTOM = 46.0, 24.0, 14.0, 40.0  # margins
CHARACTER, LINE = 7.0, 14.0  # of a label
LEAST_SECONDS = 1e-4


def front(summaries: Sequence[Summary]) -> list[Summary]:
    """The methods that no other one beats in both PSNR and seconds, the fastest first."""
    best, found = -math.inf, []
    for summary in sorted(summaries, key=lambda s: (s.seconds, -s.psnr)):
        if summary.psnr > best:
            best = summary.psnr
            found.append(summary)
    return found


@dataclass(frozen=True)
class Point:
    """A method in a plot, and where its name stands."""

    summary: Summary
    x: float
    y: float
    label_x: float
    label_y: float
    on_front: bool


@dataclass(frozen=True)
class Tick:
    """A line of the grid and its label."""

    place: float
    label: str


@dataclass(frozen=True)
class Scatter:
    """A plot of mean PSNR over mean seconds, on a logarithmic axis, in units of its :attr:`size`."""

    points: Sequence[Point]
    seconds: Sequence[Tick]
    psnr: Sequence[Tick]
    path: str  # the front as steps: what PSNR can be had for how many seconds
    size: tuple[float, float] = (WIDTH, HEIGHT)
    frame: tuple[float, float, float, float] = field(default=(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM))


def scatter(summaries: Sequence[Summary]) -> Scatter | None:
    """The plot of the scores with a finite PSNR; None if there are none."""
    shown = [s for s in summaries if math.isfinite(s.psnr)]
    if not shown:
        return None
    logs = [math.log10(max(s.seconds, LEAST_SECONDS)) for s in shown]
    low, high = math.floor(min(logs)), max(math.ceil(max(logs)), math.floor(min(logs)) + 1)
    step = _round_step(max(s.psnr for s in shown) - min(s.psnr for s in shown))
    bottom = step * math.floor(min(s.psnr for s in shown) / step)
    top = step * math.ceil(max(s.psnr for s in shown) / step + 0.2)  # room for names above the best

    def across(log: float) -> float:
        return LEFT + (log - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def up(psnr: float) -> float:
        return HEIGHT - BOTTOM - (psnr - bottom) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    places = [(across(log), up(s.psnr)) for log, s in zip(logs, shown, strict=True)]
    labels = _labels([s.method for s in shown], places)
    best = front(shown)
    points = [Point(s, *place, *label, s in best) for s, place, label in zip(shown, places, labels, strict=True)]
    corners = sorted((p.x, p.y) for p in points if p.on_front)
    path = f"M{corners[0][0]:.1f} {HEIGHT - BOTTOM:.1f}" + "".join(f"V{y:.1f}H{x:.1f}" for x, y in _steps(corners))
    return Scatter(
        points,
        [Tick(across(log), f"{10.0**log:g}") for log in range(low, high + 1)],
        [Tick(up(bottom + n * step), f"{bottom + n * step:g}") for n in range(round((top - bottom) / step) + 1)],
        path,
    )


def said(summary: Summary) -> str:
    """The PSNR of a method and its seconds."""
    evaluations = f", {summary.evaluations:g} network evaluations" if summary.evaluations else ""
    return f"{summary.method}: {summary.psnr:.2f} dB in {price_cell(summary.seconds)} s{evaluations}"


def _steps(corners: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Each height, and how far it holds: until the next corner, or the edge."""
    ends = [x for x, _ in corners[1:]] + [WIDTH - RIGHT]
    return [(end, y) for (_, y), end in zip(corners, ends, strict=True)]


def _round_step(span: float) -> float:
    """A round number of which two to six make the span."""
    power = 10.0 ** math.floor(math.log10(max(span, 0.5) / 2))
    return next(factor * power for factor in (1, 2, 5, 10) if max(span, 0.5) / (factor * power) <= 6)


def _labels(names: Sequence[str], places: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Where each name begins: beside its point, if it can without covering a point or another name."""
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in places]
    found = []
    for name, (x, y) in zip(names, places, strict=True):
        width = CHARACTER * len(name)
        beside = [(x + 8, y + 4), (x - 8 - width, y + 4)]
        above = [(x - width / 2, y + down) for down in (-9, 18)]
        around = [(x + across, y + down) for down in (-9, 18, -22, 31) for across in (0, -width)]
        candidates = [
            (left, base)
            for left, base in [*beside, *above, *around]
            if LEFT <= left <= WIDTH - width and base >= TOP + LINE - 4 and base <= HEIGHT - BOTTOM
        ] or beside[:1]
        free = [at for at in candidates if not any(_overlap(_box(*at, width), box) for box in taken)]
        left, base = (free or candidates)[0]
        taken.append(_box(left, base, width))
        found.append((left, base))
    return found


def _box(left: float, base: float, width: float) -> tuple[float, float, float, float]:
    return (left, base - LINE + 4, left + width, base + 4)


def _overlap(a: tuple[float, float, float, float], b: tuple[float, float, float, float]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
