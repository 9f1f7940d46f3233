"""The page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from idmcli.evaluation.published import published
from idmcli.evaluation.report import PageFacts, to_html
from idmcli.evaluation.tables import Score, summarise
from idmcli.evaluation.views import View, encode, encode_error
from tests.pages import Element, parse, picture

SCORES = [
    Score("Set11", method, ratio, image, psnr + 10 * ratio, 0.9, seconds, "", evaluations)
    for method, psnr, seconds, evaluations in (("idm", 30.0, 5.0, 11), ("tv", 25.0, 1.0, 0), ("pinv", 8.0, 0.01, 0))
    for ratio in (0.1, 0.3)
    for image in ("a.png", "b.png")
]
REPORT = PageFacts(
    title="Set11",
    colour="luminance",
    measured="luminance",
    configuration={"task": {"kind": "cs", "domain": None}, "operator": {"seed": 7}, "solver": {"seed": None}},
    settings={
        "idm": {"options": {}, "weights": "cs-tiny", "precision": "float32"},
        "pinv": {"options": {}, "weights": None, "precision": None},
        "tv": {"options": {"iterations": 300, "tolerance": 0.0001}, "weights": None, "precision": None},
    },
    left_out={"fbp": "method fbp needs rays"},
    failures=[],
    command="idm eval Set11 --method all --report report.html",
    versions={"idm": "0.1", "threads": 2, "devices": ["cpu"], "cuda": None},
)


def scene(*scores: Score) -> list[View]:
    x = torch.rand(1, 1, 9, 12)
    views = [View(s.method, encode(x), encode_error(x, x / 2), s) for s in scores]
    return [View("original", encode(x)), View("A+ y", encode(x), encode_error(x, x)), *views]


def page(scores: Sequence[Score] = SCORES, report: PageFacts = REPORT, **scenes: Any) -> Element:
    return parse(to_html(scores, {("a.png", "10 %"): scene(*SCORES[::4])} if not scenes else scenes["scenes"], report))


def test_the_tables_hold_the_means_the_best_first() -> None:
    tables = page().all("table", class_="scores")
    summaries = {(s.column, s.method): s for s in summarise(SCORES)}
    for column, table in zip(("10 %", "30 %"), tables[::2], strict=False):
        rows = [row for row in table.all("tr") if "data-method" in row.attributes]
        assert [row.attributes["data-method"] for row in rows] == ["idm", "tv", "pinv"]
        for row in rows:
            own = summaries[column, row.attributes["data-method"]]
            values = [float(data.attributes["value"]) for data in row.all("data")]
            assert values == [own.psnr, own.ssim, own.seconds, own.evaluations]
    (idm,) = tables[0].all("tr", data_method="idm")
    assert "32.92 ± 3.34" in idm.all("td", class_="published")[0].text
    assert "ISTA-Net+" in tables[1].text and "26.49" in tables[1].text  # all that was published at 10 %


def test_every_score_is_there() -> None:
    (table,) = page().all("table", class_="scores every")
    for score in SCORES:
        (row,) = table.all("tr", data_image=score.image, data_method=score.method, data_column=score.column)
        assert [float(d.attributes["value"]) for d in row.all("data")] == [
            *(score.psnr, score.ssim, score.seconds, score.evaluations)
        ]


def test_what_is_worth_its_price_is_said_first() -> None:
    slow = replace(SCORES[0], method="slow", psnr=20.0, seconds=100.0)
    (table,) = page([*SCORES, slow]).all("table", class_="fronts")
    assert [[b.text for b in row.all("b")] for row in table.all("tr")] == [["pinv", "tv", "idm"]] * 2
    assert "31.00 dB" in table.all("li", class_="best")[0].text and "slow" not in table.text


def test_each_column_has_a_plot_with_every_method() -> None:
    plots = page().all("svg")
    assert len(plots) == 2
    for plot in plots:
        named = {text.text for text in plot.all("text")}
        assert {"idm", "tv", "pinv"} <= named and len(plot.all("circle")) == 3
        assert "idm: " in plot.text and "11 network evaluations" in plot.text


def test_pictures_are_in_the_page_and_say_what_they_are() -> None:
    (wall,) = page().all("section", class_="scene")
    views = wall.all("figure")
    assert [view.attributes["data-label"] for view in views] == ["original", "A+ y", "idm", "tv", "pinv"]
    assert ["data-best" in view.attributes for view in views] == [False, False, True, False, False]
    for view in views:
        images = view.all("img")
        assert len(images) == (1 if view.attributes["data-label"] == "original" else 2)
        assert all(picture(image).size == (12, 9) and image.attributes["alt"] for image in images)
    assert views[2].all("img", class_="error")[0].attributes["alt"] == "a.png, 10 %: errors of idm, 31.00 dB"
    assert page(scenes={}).all("img") == []  # no pictures, no stage


def test_it_says_how_it_was_made() -> None:
    root = page(report=replace(REPORT, failures=["'c.png': not a readable image"]))
    assert REPORT.command in root.all("pre")[0].text
    assert "iterations = 300, tolerance = 0.0001" in root.all("table", class_="settings")[0].text
    assert "cs-tiny (float32)" in root.text and "method fbp needs rays" in root.text
    assert "'c.png': not a readable image" in root.all("p", class_="failure")[0].text
    lists = {
        term.text: value.text for dl in root.all("dl") for term, value in zip(dl.all("dt"), dl.all("dd"), strict=True)
    }
    assert lists["seed"] == "7" and lists["devices"] == "cpu" and lists["threads"] == "2"
    assert "cuda" not in lists and "domain" not in lists


def test_names_cannot_become_markup() -> None:
    name = "<script>alert(1)</script>&\"'\x1b\u202e\udcff.png"
    score = replace(SCORES[0], dataset=name, image=name)
    hostile = replace(REPORT, title=name, command=name, left_out={"fbp": name}, failures=[name])
    text = to_html([score], {(name, "10 %"): scene(score)}, hostile)
    assert "\x1b" not in text and "\u202e" not in text and "<script>alert" not in text
    assert len(parse(text).all("script")) == 1 and text.encode()
    shown = "<script>alert(1)</script>&\"'\\x1b\\u202e\\udcff.png"
    assert parse(text).all("h1")[0].text == shown
    assert parse(text).all("img", class_="error")[0].attributes["alt"].startswith(shown)


def test_odd_values() -> None:
    odd = [replace(SCORES[0], psnr=math.inf, ssim=math.nan), replace(SCORES[4], psnr=math.nan)]
    root = page(odd, scenes={("a.png", "10 %"): scene(*odd)})
    assert root.all("svg") == []
    (row,) = root.all("tr", data_method="idm", class_="worth")
    assert "∞" in row.text and [d.attributes["value"] for d in row.all("data")][:2] == ["null", "null"]


def test_lpips_has_a_column_where_it_was_measured() -> None:
    assert "LPIPS" not in page().all("main")[0].text
    root = page([replace(score, lpips=0.125) for score in SCORES])
    assert "0.1250" in root.all("tr", data_method="tv")[0].text and "LPIPS" in root.text


def test_settings_stand_for_ratios_and_colour_has_ssim() -> None:
    views = page([replace(score, setting="60 views") for score in SCORES])
    assert [h.text for h in views.all("h2")][1:2] == ["60 views"]
    urban = [replace(score, dataset="Urban100", method="ddnm") for score in SCORES[:1]]
    root = page(urban, replace(REPORT, colour="rgb"))
    figure = published("Urban100", 0.1, "rgb")["DDNM"]
    cell = root.all("td", class_="published")[0].text
    assert cell == f"{figure.psnr:.2f} ± {figure.psnr_std:.2f}, {figure.ssim:.4f}"
