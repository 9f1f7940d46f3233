"""A comparison as one HTML page that needs nothing else: no network, no other file."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined
from markupsafe import Markup

from idmcli.evaluation import views
from idmcli.evaluation.published import Colour, Figure, published, source
from idmcli.evaluation.scatter import Scatter, front, said, scatter
from idmcli.evaluation.tables import Score, Summary, price_cell, summarise
from idmcli.evaluation.views import View
from idmcli.metrics import CONVENTIONS
from idmcli.text import escape


@dataclass(frozen=True)
class PageFacts:
    """The content of a page beside its scores.

    Attributes:
        title: what was compared.
        colour: of the published figures that compare; None for none.
        measured: "luminance" or "rgb".
        configuration: values by section and key.
        settings: of each method: its options and weights.
        left_out: why, by method.
        failures: what could not be done, a sentence each.
        command: as it was typed.
        versions: of the software and the machine.
    """

    title: str
    colour: Colour | None
    measured: str
    configuration: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]
    failures: Sequence[str]
    command: str
    versions: Mapping[str, Any]


@dataclass(frozen=True)
class Column:
    """One ratio or setting: the best first, and who is worth the price."""

    name: str
    rows: Sequence[Summary]
    front: Sequence[Summary]
    plot: Scatter | None
    published: Mapping[str, Figure]

    def counterpart(self, method: str) -> Figure | None:
        """The published figures of a method."""
        return next((f for name, f in self.published.items() if name.casefold() == method.casefold()), None)


def to_html(scores: Sequence[Score], scenes: Mapping[tuple[str, str], Sequence[View]], report: PageFacts) -> str:
    """The page of scores of one data set, with the views of some (picture, column); names that could disguise it are
    written out."""
    environment = Environment(
        autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, finalize=_safe
    )
    environment.filters |= {
        "figure": _figure,
        "price": price_cell,
        "said": said,
        "data": lambda png: Markup("data:image/png;base64," + base64.b64encode(png).decode()),
        "number": lambda value: "null" if value is None or not math.isfinite(value) else repr(value),
    }
    page = files("idmcli.evaluation").joinpath("page")
    style, script, template = (page.joinpath(f"report.{kind}").read_text("utf-8") for kind in ("css", "js", "html"))
    return environment.from_string(template).render(
        report=report,
        columns=_columns(scores, report.colour),
        scores=sorted(scores),
        has_lpips=any(score.lpips is not None for score in scores),
        scenes=scenes,
        views=views,
        source=source(),
        conventions=CONVENTIONS,
        error_colours=["#{:02x}{:02x}{:02x}".format(*colour) for colour in views.error_colours()],
        style=Markup(style),
        script=Markup(script),
    )


def _columns(scores: Sequence[Score], colour: Colour | None) -> list[Column]:
    summaries = sorted(summarise(scores), key=lambda s: (s.ratio, -s.psnr if math.isfinite(s.psnr) else -math.inf))
    columns = []
    for name in dict.fromkeys(s.column for s in summaries):
        rows = [s for s in summaries if s.column == name]
        figures = {} if colour is None else published(rows[0].dataset, rows[0].ratio, colour)
        columns.append(Column(name, rows, front(rows), scatter(rows), figures))
    return columns


def _figure(value: float | None, digits: int) -> str:
    if value is None or math.isnan(value):
        return "–"
    return "∞" if math.isinf(value) else f"{value:.{digits}f}"


def _safe(value: Any) -> Any:
    return escape(value, keep="\n\t") if isinstance(value, str) and not isinstance(value, Markup) else value
