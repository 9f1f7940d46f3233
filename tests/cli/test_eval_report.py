"""``idm eval --method all`` and ``--report``: what is left out, and the page."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from idmcli import solvers
from idmcli.cli import main
from idmcli.evaluation.views import SHOWN
from idmcli.io.images import write_image
from idmcli.methods import Method
from idmcli.plugins import SOLVERS
from tests.pages import Element, parse, picture

Capture = pytest.CaptureFixture[str]
ODD = "a<b>&\"c'.png"
BROWSER = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
QUICK = ["--ratio=0.5", "--set=operator.block=8", "--method=pinv,tikhonov"]


@pytest.fixture(autouse=True)
def data(folder: Path) -> Path:
    """A folder with two small pictures."""
    rows, columns = np.mgrid[:24, :16] / 24
    Path("data").mkdir()
    write_image(f"data/{ODD}", (rows + columns) / 2)
    write_image("data/b.png", 0.5 + 0.4 * np.sin(9 * rows) * np.cos(7 * columns))
    return folder


def read(path: str = "report.html") -> Element:
    return parse(Path(path).read_text("utf-8"))


def values(row: Element) -> list[float | None]:
    return [json.loads(data.attributes["value"]) for data in row.all("data")]


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Methods run, but no longer than they have to."""
    defaults = {"steps": 1, "iterations": 2, "ode_steps": 1, "langevin_steps": 1}

    def shorter(solver: Any, given: Any) -> Any:
        known = {field: value for field, value in defaults.items() if field in solver.options.__dataclass_fields__}
        return solver.options(**known | dict(given))

    monkeypatch.setattr("idmcli.methods.methods.read_options", shorter)


def test_all_methods_that_apply_are_on_the_page(short: None, capsys: Capture) -> None:
    command = ["eval", "data", "--method=all", *QUICK[:2], "--out=scores", "--report=report.html"]
    assert main(command) == 0
    told = capsys.readouterr().err
    assert (
        "left out fbp: method fbp needs an operator of line integrals (ct, fan)" in told and "wrote report.html" in told
    )
    document, root = json.loads(Path("scores/scores.json").read_text()), read()
    names = set(solvers.names()) - set(document["left_out"])
    assert {r["method"] for r in document["results"]} == names == set(document["methods"])
    assert (
        list(document["left_out"]) == ["csnet-plus", "fbp", "psld", "resample", "rk-ccsnet", "sr3"]
        and "fbp" in root.all("ul")[0].text
    )
    for result in document["results"]:
        (row,) = root.all("tr", data_image=result["image"], data_method=result["method"])
        assert values(row) == [result[key] for key in ("psnr", "ssim", "seconds", "evaluations")]
    for summary in document["summary"]:
        table = root.all("table", class_="scores")[0]
        assert values(table.all("tr", data_method=summary["method"])[0])[0] == summary["psnr"]
    scenes = root.all("section", class_="scene")
    assert [scene.attributes["aria-label"] for scene in scenes] == [f"{ODD}, 50 %", "b.png, 50 %"]
    for scene in scenes:
        assert {view.attributes["data-label"] for view in scene.all("figure")} == names | {"original", "A+ y"}
        assert all(picture(image).size == (16, 24) for image in scene.all("img"))
    assert root.all("pre")[0].text == "idm " + " ".join(command)


def run_and_left_out(capsys: Capture, *arguments: str) -> tuple[set[str], dict[str, str]]:
    """The methods that ran, and why others did not."""
    assert main(["eval", "data", "--limit=1", "--method=all", *arguments, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    ran, reasons = {r["method"] for r in found["results"]}, found["summary"]["left_out"]
    assert sorted([*ran, *reasons]) == solvers.names() and not any("\n" in reason for reason in reasons.values())
    return ran, reasons


def test_what_does_not_apply_is_left_out_with_the_reason(short: None, capsys: Capture) -> None:
    ran, reasons = run_and_left_out(capsys, "--preset=hdr")
    assert {"gradient", "dps"} <= ran
    assert "needs a linear operator" in reasons["tv"]
    assert reasons["idm"] == "no weights for --method idm on task hdr come with idm"


def test_methods_without_an_option_that_is_set_are_left_out(capsys: Capture) -> None:
    ran, reasons = run_and_left_out(capsys, "--preset=ct", "--set=solver.window=hann")
    assert ran == {"fbp"} and reasons["pinv"] == "method pinv has no option solver.window; it has none"


def test_where_no_method_applies_all_reasons_are_given(capsys: Capture) -> None:
    assert main(["eval", "data", "--method=all", "--set=solver.eta=7"]) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: no method applies\n")
    assert err.count("has no option solver.eta") + err.count("solver.eta = 7: ") == len(solvers.names())


def test_a_method_that_fails_does_not_stop_the_others(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    def broken(*_: Any) -> Tensor:
        return torch.full((1, 1, 24, 16), torch.nan)

    monkeypatch.setitem(SOLVERS._loaded, "pinv", replace(SOLVERS.find("pinv"), run=broken))
    assert main(["eval", "data", *QUICK, "--report=report.html"]) == 3
    root = read()
    assert "method pinv gave values that are not finite" in root.all("p", class_="failure")[0].text
    assert len(root.all("tr", data_method="tikhonov")) == 3 and root.all("tr", data_method="pinv") == []


def test_the_command_writes_a_page_of_the_first_pictures(capsys: Capture) -> None:
    for n in range(SHOWN):
        shutil.copy("data/b.png", f"data/c{n}.png")
    assert main(["eval", "data", *QUICK, "--report", "pages/report.html", "--dataset", "Set11"]) == 0
    assert "| Set11 | tikhonov |" in " ".join(capsys.readouterr().out.split())
    root = read("pages/report.html")
    assert len(root.all("section", class_="scene")) == SHOWN
    assert len(root.all("tr", data_method="pinv")) == 1 + 2 + SHOWN
    assert root.all("h1")[0].text == "Set11" and "PRL-PGD+" in root.text
    assert [path.name for path in Path("pages").iterdir()] == ["report.html"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--report=data"], "'data' exists already"),
        (["--report=data", "--overwrite"], "'data' is not a file that can be replaced"),
        (["--report=data/b.png", "--overwrite"], "the output 'data/b.png' is another file of this command"),
        (["--report=s/scores.csv", "--out=s"], "the output 's/scores.csv' is another file of this command"),
        (["--report=old.html"], "'old.html' exists already"),
        (["--report=data/b.png/report.html"], "'data/b.png' is not a folder"),
    ],
)
def test_a_page_that_cannot_be_written_is_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture, arguments: list[str], error: str
) -> None:
    Path("old.html").write_text("mine")
    monkeypatch.setattr(Method, "__call__", lambda *_, **__: pytest.fail("it began"))
    assert main(["eval", "data", *QUICK, *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {error}")
    assert Path("old.html").read_text() == "mine" and not Path("s").exists()


def test_an_old_page_is_replaced_where_that_is_asked_for(capsys: Capture) -> None:
    Path("report.html").write_text("old")
    assert main(["eval", "data", *QUICK, "--report=report.html", "--overwrite"]) == 0
    assert read().all("h1")[0].text == "data"


def test_what_was_computed_is_on_the_page_whatever_ends_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    from idmcli.evaluation import benchmark

    solve, solved = benchmark.solve, []

    def interrupted(*arguments: Any, **options: Any) -> Any:
        solved.append(1)
        if len(solved) == 3:
            raise KeyboardInterrupt
        return solve(*arguments, **options)

    monkeypatch.setattr(benchmark, "solve", interrupted)
    assert main(["eval", "data", *QUICK, "--report=report.html"]) == 130
    assert len(read().all("table", class_="scores every")[0].all("tr")) == 1 + 2


DRIVER = """
<script>
const seen = {errors: []};
addEventListener("error", (event) => seen.errors.push(event.message));
addEventListener("load", () => {
  const get = (id) => document.getElementById(id);
  const change = (id, value) => { get(id).value = value; get(id).dispatchEvent(new Event("change")); };
  const clip = () => getComputedStyle(get("over")).clipPath;
  seen.visible = !get("stage").hidden && get("over").naturalWidth > 0 && get("split").tabIndex === 0;
  seen.start = [get("before").value, get("after").value, clip()];
  get("split").value = 80;
  get("split").dispatchEvent(new Event("input"));
  seen.moved = clip();
  change("before", "original");
  seen.left = get("under").alt;
  document.querySelector(".scene:not([hidden]) [data-label=pinv] button").click();
  seen.clicked = [get("after").value, get("over").alt, get("error").alt];
  change("scene", "2");
  seen.second = [get("before").value, get("after").value, get("over").alt];
  seen.scenes = [...document.querySelectorAll(".scene")].map((scene) => scene.hidden);
  document.body.dataset.seen = JSON.stringify(seen);
});
</script>
"""


@pytest.mark.skipif(BROWSER is None, reason="no chromium, chromium-browser or google-chrome is installed")
def test_the_page_works_in_a_browser() -> None:
    assert main(["eval", "data", *QUICK, "--report=report.html"]) == 0
    page = Path("report.html").read_text("utf-8")
    Path("driven.html").write_text(page.replace("</title>", f"</title>{DRIVER}", 1), "utf-8")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--user-data-dir=profile"]
    done = subprocess.run(
        [str(BROWSER), *options, "--dump-dom", Path("driven.html").resolve().as_uri()],
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert "CONSOLE" not in done.stderr, done.stderr
    parser = done.stdout.partition('data-seen="')[2].partition('"')[0]
    seen = json.loads(parser.replace("&quot;", '"').replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&"))
    assert seen["errors"] == [] and seen["visible"]
    assert seen["start"] == ["A+ y", "tikhonov", "inset(0px 0px 0px 50%)"]
    assert seen["moved"] == "inset(0px 0px 0px 80%)"
    assert seen["left"] == f"{ODD}, 50 %: original"
    method, alt, error = seen["clicked"]
    assert method == "pinv" and alt.startswith(f"{ODD}, 50 %: pinv, ") and error.startswith(f"{ODD}, 50 %: errors of")
    assert seen["second"][:2] == ["original", "pinv"] and seen["second"][2].startswith("b.png, 50 %: pinv, ")
    assert seen["scenes"] == [True, False]
