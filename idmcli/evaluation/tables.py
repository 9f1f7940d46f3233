"""From scores of single images to summaries, CSV, JSON and a table; none depends on the order of the scores."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING, Any

from idmcli.evaluation.published import Colour, Figure, published, source
from idmcli.io.tables import csv_line
from idmcli.metrics import CONVENTIONS
from idmcli.text import escape

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("dataset", "method", "ratio", "image", "psnr_db", "ssim", "seconds", "evaluations", "lpips")
MEAN_COLUMNS = (
    *("dataset", "method", "ratio", "setting", "images"),
    *("psnr_db", "psnr_std", "ssim", "ssim_std", "ssim_images", "seconds", "evaluations", "lpips"),
)


@dataclass(frozen=True, order=True)
class Score:
    """How well one method reconstructed one image.

    Attributes:
        dataset: name of the image's folder.
        method: name of the method.
        ratio: sampling ratio in (0, 1].
        image: file name.
        psnr: in dB; infinite for a perfect reconstruction.
        ssim: NaN for an image smaller than the window.
        seconds: wall-clock time of the reconstruction.
        setting: what stands for the ratio where that differs between pictures ("60 views"); empty where it does not.
        evaluations: of networks; 0 for methods without one.
        lpips: None where it is not installed.
        weights: the name of those that the method ran on; empty for none.
        seed: of what the method draws.
    """

    dataset: str
    method: str
    ratio: float
    image: str
    psnr: float
    ssim: float
    seconds: float
    setting: str = ""
    evaluations: float = 0
    lpips: float | None = None
    weights: str = field(default="", compare=False)
    seed: int | None = field(default=None, compare=False)

    @property
    def column(self) -> str:
        """Where it belongs in a table."""
        return self.setting or f"{100 * self.ratio:g} %"


@dataclass(frozen=True)
class Summary:
    """Mean and population standard deviation (divided by n) of a method's scores in one column over n images.

    A mean over an infinite PSNR is infinite and its deviation NaN. SSIM is of the ``ssim_n`` images that have one, NaN
    where there is none.
    """

    dataset: str
    method: str
    ratio: float
    n: int
    psnr: float
    psnr_std: float
    ssim: float
    ssim_std: float
    seconds: float
    column: str
    evaluations: float = 0
    lpips: float | None = None
    ssim_n: int = 0


def summarise(scores: Iterable[Score]) -> list[Summary]:
    """One summary per (dataset, method, column), sorted by the first two and the ratio (of a setting, the mean)."""
    groups: dict[tuple[str, str, str], list[Score]] = {}
    for score in sorted(scores):
        groups.setdefault((score.dataset, score.method, score.column), []).append(score)
    summaries = []
    for (dataset, method, column), rows in groups.items():
        ratio = rows[0].ratio if not rows[0].setting else _mean_std([s.ratio for s in rows])[0]
        psnr, psnr_std = _mean_std([s.psnr for s in rows])
        similar = [s.ssim for s in rows if not math.isnan(s.ssim)]
        ssim, ssim_std = _mean_std(similar) if similar else (math.nan, math.nan)
        seconds, _ = _mean_std([s.seconds for s in rows])
        evaluations, _ = _mean_std([s.evaluations for s in rows])
        measured = [s.lpips for s in rows if s.lpips is not None]
        lpips = _mean_std(measured)[0] if measured else None
        summaries.append(
            Summary(
                dataset=dataset,
                method=method,
                ratio=ratio,
                n=len(rows),
                psnr=psnr,
                psnr_std=psnr_std,
                ssim=ssim,
                ssim_std=ssim_std,
                seconds=seconds,
                column=column,
                evaluations=evaluations,
                lpips=lpips,
                ssim_n=len(similar),
            )
        )
    return sorted(summaries, key=lambda s: (s.dataset, s.method, s.ratio))


def to_csv(scores: Iterable[Score]) -> str:
    """One row per image; ``inf`` and ``nan`` are spelled so."""
    return csv_line(COLUMNS) + "".join(csv_line(to_row(score)) for score in sorted(scores))


def means_csv(scores: Iterable[Score]) -> str:
    """One row per summary; the columns are :data:`MEAN_COLUMNS`."""
    return csv_line(MEAN_COLUMNS) + "".join(csv_line(_mean_row(s)) for s in summarise(scores))


def to_row(score: Score) -> list[str]:
    """The cells of a score, as in :data:`COLUMNS`."""
    numbers = [f"{value:.6f}" for value in (score.psnr, score.ssim, score.seconds)]
    numbers += [f"{score.evaluations:g}", "" if score.lpips is None else f"{score.lpips:.6f}"]
    return [score.dataset, score.method, f"{score.ratio:g}", score.image, *numbers]


def _mean_row(s: Summary) -> list[str]:
    quality = [f"{value:.6f}" for value in (s.psnr, s.psnr_std, s.ssim, s.ssim_std)]
    price = [f"{s.seconds:.6f}", f"{s.evaluations:g}", "" if s.lpips is None else f"{s.lpips:.6f}"]
    return [s.dataset, s.method, f"{s.ratio:g}", s.column, str(s.n), *quality, str(s.ssim_n), *price]


def to_json(scores: Iterable[Score], colour: Colour | None = "luminance") -> dict[str, Any]:
    """Everything, JSON-able: what is not finite becomes null, with a ``<key>_reason`` beside it.

    ``colour`` belongs to the published figures; None for scores that no published figure can be compared with.
    """
    scores = sorted(scores)
    summaries = summarise(scores)
    figures = [
        {"dataset": dataset, "method": method, "ratio": ratio} | asdict(figure)
        for dataset, ratio in sorted({(s.dataset, s.ratio) for s in summaries})
        for method, figure in _figures(dataset, ratio, colour).items()
    ]
    return {
        "results": [with_reasons(asdict(s)) for s in scores],
        "summary": [with_reasons(asdict(s)) for s in summaries],
        "published": figures,
        "published_source": source() if figures else None,
        "conventions": CONVENTIONS,
    }


def to_table(scores: Iterable[Score], colour: Colour | None = "luminance") -> Table:
    """A table of the means, a column per ratio or setting and then what they took, the best method first, with the
    published figures (:func:`to_json`) below them."""
    from rich.table import Table
    from rich.text import Text

    summaries = summarise(scores)
    columns = {s.column: s.ratio for s in sorted(summaries, key=lambda s: s.ratio)}
    table = Table("data", "method", *columns, "seconds", "evaluations")
    similarity = "SSIM" if all(s.lpips is None for s in summaries) else "SSIM / LPIPS"
    table.caption = (
        f"PSNR in dB ± standard deviation over images / {similarity}; seconds and network evaluations per image; "
        "methods in the order of their mean PSNR"
    )
    if few := [s for s in summaries if 0 < s.ssim_n < s.n]:
        table.caption += f"; SSIM of {few[0].ssim_n} of {few[0].n} images, the others are smaller than its window"
    for dataset, group in groupby(summaries, lambda s: s.dataset):
        for method, own in _best_first(group):
            cells = {s.column: _cell(s.psnr, s.psnr_std if s.n > 1 else None, s.ssim, s.lpips) for s in own}
            price = [price_cell(_mean_std([getattr(s, key) for s in own])[0]) for key in ("seconds", "evaluations")]
            table.add_row(Text(escape(dataset)), Text(method), *(cells.get(column, "") for column in columns), *price)
        figures = {ratio: _figures(dataset, ratio, colour) for ratio in columns.values()}
        for method in dict.fromkeys(name for by_method in figures.values() for name in by_method):
            found = [figures[ratio].get(method) for ratio in columns.values()]
            figures_of = ["" if f is None else _cell(f.psnr, f.psnr_std, f.ssim) for f in found]
            table.add_row(Text(escape(dataset)), Text(f"{method} (published)"), *figures_of, style="dim")
        if any(figures.values()):
            table.caption += f". Published: {source()}"
        table.add_section()
    return table


def _best_first(summaries: Iterable[Summary]) -> list[tuple[str, list[Summary]]]:
    """The summaries of each method, in the order of its PSNR over all of them."""
    methods: dict[str, list[Summary]] = {}
    for summary in summaries:
        methods.setdefault(summary.method, []).append(summary)

    def loss(item: tuple[str, list[Summary]]) -> float:
        mean = _mean_std([summary.psnr for summary in item[1]])[0]
        return math.inf if math.isnan(mean) else -mean

    return sorted(methods.items(), key=loss)


def _figures(dataset: str, ratio: float, colour: Colour | None) -> dict[str, Figure]:
    return {} if colour is None else published(dataset, ratio, colour)


def _mean_std(values: list[float]) -> tuple[float, float]:
    """Exactly summed, so that the order of the values cannot matter."""
    mean = math.fsum(values) / len(values)
    if not math.isfinite(mean):
        return mean, math.nan
    return mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / len(values))


def price_cell(value: float) -> str:
    """Seconds, or network evaluations, with the digits that matter."""
    return f"{value:.2g}" if value < 10 else f"{value:.0f}"


def _cell(psnr: float, std: float | None, ssim: float | None, lpips: float | None = None) -> str:
    deviation = "" if std is None or math.isnan(std) else f" ± {std:.2f}"
    similarity = "" if ssim is None or math.isnan(ssim) else f" / {ssim:.4f}"
    perceptual = "" if lpips is None else f" / {lpips:.4f}"
    return f"{psnr:.2f}{deviation}{similarity}{perceptual}"


def with_reasons(row: dict[str, Any]) -> dict[str, Any]:
    """A record for JSON: what is not finite becomes null, with a ``<key>_reason`` beside it."""
    result: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, float) and not math.isfinite(value):
            result[key] = None
            result[f"{key}_reason"] = _reason(key, value)
        else:
            result[key] = value
    return result


def _reason(key: str, value: float) -> str:
    if math.isinf(value):
        return "infinite: an image equals its reference"
    if key.startswith("psnr"):
        return "undefined: an image equals its reference"
    return "undefined: an image is smaller than the 7x7 window"
