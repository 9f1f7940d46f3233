"""Summaries and the ways to write them."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from idmcli.evaluation.tables import Score, means_csv, summarise, to_csv, to_json, to_table
from idmcli.metrics import CONVENTIONS

SCORES = [
    Score("Set11", "vamp", 0.3, "b.png", 36.0, 0.95, 2.0),
    Score("Set11", "vamp", 0.1, "a.png", 28.0, 0.8, 1.0),
    Score("Set11", "vamp", 0.1, "b.png", 30.0, 0.9, 3.0),
    Score("Set11", "tikhonov", 0.1, "a.png", 23.0, 0.7, 0.5),
]


def rendered(scores: list[Score], **options: object) -> str:
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(to_table(scores, **options))  # type: ignore[arg-type]
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def test_summary() -> None:
    first, low, high = summarise(SCORES)
    assert (first.method, first.n, first.psnr, first.psnr_std) == ("tikhonov", 1, 23.0, 0.0)
    assert (low.method, low.ratio, low.n) == ("vamp", 0.1, 2)
    assert (low.psnr, low.psnr_std, low.seconds) == (29.0, 1.0, 2.0)  # population deviation: 1, not 1.41
    assert (low.ssim, low.ssim_std) == (pytest.approx(0.85), pytest.approx(0.05))
    assert (high.ratio, high.psnr) == (0.3, 36.0)


scores_strategy = st.lists(
    st.builds(
        Score,
        st.sampled_from(["Set11", "x"]),
        st.sampled_from(["m", "n"]),
        st.sampled_from([0.1, 0.3]),
        st.text(max_size=4),
        st.floats(-50, 100) | st.just(math.inf),
        st.floats(-1, 1) | st.just(math.nan),
        st.floats(0, 1e6),
    ),
    min_size=1,
    max_size=12,
    unique_by=lambda s: (s.dataset, s.method, s.ratio, s.image),
)


@settings(max_examples=50, deadline=None)
@given(scores_strategy, st.randoms())
def test_order_does_not_matter(scores: list[Score], random: object) -> None:
    shuffled = list(scores)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert repr(summarise(scores)) == repr(summarise(shuffled))
    assert to_csv(scores) == to_csv(shuffled)
    assert json.dumps(to_json(scores), allow_nan=False) == json.dumps(to_json(shuffled), allow_nan=False)
    for summary in summarise(scores):
        key = (summary.dataset, summary.method, summary.ratio)
        psnr = [s.psnr for s in scores if (s.dataset, s.method, s.ratio) == key]
        assert summary.n == len(psnr)
        if all(map(math.isfinite, psnr)):
            assert summary.psnr == pytest.approx(np.mean(psnr), abs=1e-9)
            assert summary.psnr_std == pytest.approx(np.std(psnr), abs=1e-6)


def test_csv() -> None:
    odd = replace(SCORES[0], image='a, "b"\n.png', psnr=math.inf)
    rows = list(csv.DictReader(io.StringIO(to_csv([*SCORES, odd]))))
    assert len(rows) == 5
    assert rows[0] == {
        "dataset": "Set11",
        "method": "tikhonov",
        "ratio": "0.1",
        "image": "a.png",
        "psnr_db": "23.000000",
        "ssim": "0.700000",
        "seconds": "0.500000",
        "evaluations": "0",
        "lpips": "",
    }
    assert 'a, "b"\\n.png' in [r["image"] for r in rows]


def test_the_means_are_a_table_of_their_own() -> None:
    rows = list(csv.DictReader(io.StringIO(means_csv([*SCORES, replace(SCORES[0], image="c.png", psnr=math.inf)]))))
    assert [(r["method"], r["ratio"], r["images"]) for r in rows] == [
        *(("tikhonov", "0.1", "1"), ("vamp", "0.1", "2"), ("vamp", "0.3", "2"))
    ]
    assert [r["psnr_db"] for r in rows] == ["23.000000", "29.000000", "inf"]
    for row in rows:
        assert all(float(row[key]) is not None for key in row if key not in ("dataset", "method", "setting", "lpips"))


def test_no_cell_acts_on_a_terminal_or_a_spreadsheet() -> None:
    names = ["=1+1.png", "@a.png", "+1.png", "-1.png", " =1.png", "\x1b[31mred.png", "a\nb.png"]
    found = [row["image"] for row in csv.DictReader(io.StringIO(to_csv(replace(SCORES[0], image=n) for n in names)))]
    assert sorted(found) == sorted(
        ["'=1+1.png", "'@a.png", "'+1.png", "'-1.png", "' =1.png", "\\x1b[31mred.png", "a\\nb.png"]
    )


def test_an_ssim_that_cannot_be_computed_is_left_out_of_the_mean() -> None:
    scores = [*SCORES, replace(SCORES[1], image="tiny.png", psnr=20.0, ssim=math.nan)]
    low = summarise(scores)[1]
    assert (low.n, low.ssim_n, low.ssim, low.psnr) == (3, 2, pytest.approx(0.85), pytest.approx(26))
    (row,) = [r for r in csv.DictReader(io.StringIO(means_csv(scores))) if (r["method"], r["ratio"]) == ("vamp", "0.1")]
    assert (row["images"], row["ssim_images"], row["ssim"]) == ("3", "2", "0.850000")
    assert "SSIM of 2 of 3 images" in " ".join(rendered(scores).split())
    assert "SSIM of" not in rendered(SCORES)


def test_the_best_method_stands_first() -> None:
    text = rendered([replace(s, dataset="mine") for s in SCORES])
    assert text.index("vamp") < text.index("tikhonov")
    assert "in the order of their mean PSNR" in " ".join(text.split())


def test_results_name_weights_and_seed() -> None:
    (result,) = to_json([replace(SCORES[0], weights="prior-grey", seed=7)])["results"]
    assert (result["weights"], result["seed"]) == ("prior-grey", 7)


def test_json() -> None:
    result = to_json([*SCORES, replace(SCORES[0], image="c.png", psnr=math.inf, ssim=math.nan)])
    json.dumps(result, allow_nan=False)
    assert result["conventions"] == CONVENTIONS
    infinite = next(r for r in result["results"] if r["image"] == "c.png")
    assert infinite["psnr"] is None
    assert infinite["psnr_reason"] == "infinite: an image equals its reference"
    assert infinite["ssim"] is None
    assert "7x7" in infinite["ssim_reason"]
    summary = next(r for r in result["summary"] if r["ratio"] == 0.3)
    assert summary["psnr"] is None
    assert summary["psnr_std"] is None
    assert summary["psnr_std_reason"].startswith("undefined")
    idm = [f for f in result["published"] if f["method"] == "IDM"]
    assert [(f["ratio"], f["psnr"]) for f in idm] == [(0.1, 32.92), (0.3, 38.85)]
    assert "TPAMI" in result["published_source"]
    elsewhere = to_json([replace(s, dataset="mine") for s in SCORES])
    assert elsewhere["published"] == []
    assert elsewhere["published_source"] is None


def test_table() -> None:
    text = rendered(SCORES)
    lines = {line.split("│")[2].strip(): line for line in text.splitlines() if line.count("│") == 7}
    assert "29.00 ± 1.00 / 0.8500" in lines["vamp"]
    assert "36.00 / 0.9500" in lines["vamp"]
    assert "23.00 / 0.7000" in lines["tikhonov"]
    assert "32.92 ± 3.34" in lines["IDM (published)"]
    assert "38.85 ± 3.28" in lines["IDM (published)"]
    assert "Published: Chen et al." in " ".join(text.split())
    assert "50 %" not in text
    assert "published" not in rendered([replace(s, dataset="mine") for s in SCORES]).lower()
    assert "0.8970" in rendered([replace(s, dataset="Urban100") for s in SCORES], colour="rgb")


def test_what_methods_take_and_lpips() -> None:
    scores = [replace(s, evaluations=20 if s.method == "vamp" else 0, lpips=s.ssim / 2) for s in SCORES]
    low = summarise(scores)[1]
    assert (low.evaluations, low.lpips) == (20, pytest.approx(0.425))
    rows = list(csv.DictReader(io.StringIO(to_csv(scores))))
    assert {(r["method"], r["evaluations"]) for r in rows} == {("vamp", "20"), ("tikhonov", "0")}
    assert [r["lpips"] for r in csv.DictReader(io.StringIO(means_csv(scores)))] == ["0.350000", "0.425000", "0.475000"]
    text = rendered(scores)
    cells = {line.split("│")[2].strip(): line.split("│")[-3:-1] for line in text.splitlines() if line.count("│") == 7}
    assert [cell.strip() for cell in cells["vamp"]] == ["2", "20"]
    assert [cell.strip() for cell in cells["tikhonov"]] == ["0.5", "0"]
    assert "29.00 ± 1.00 / 0.8500 / 0.4250" in text and "SSIM / LPIPS" in text
    assert to_json(scores)["results"][0]["lpips"] == pytest.approx(0.35) and "LPIPS" not in rendered(SCORES)


def test_table_of_odd_values() -> None:
    text = rendered([replace(SCORES[0], dataset="[red]x", psnr=math.inf, ssim=math.nan)])
    assert "[red]x" in text
    assert "inf" in text
    assert "nan" not in text
    assert summarise([]) == []
    assert to_csv([]).count("\n") == 1


def test_what_a_setting_measures_is_one_column_whatever_the_ratio() -> None:
    scores = [
        Score("heads", "fbp", ratio, f"{ratio}.png", psnr, 0.9, 1.0, setting)
        for ratio, psnr, setting in ((0.3, 30.0, "60 views"), (0.5, 32.0, "60 views"), (0.6, 40.0, "120 views"))
    ]
    few, many = summarise(scores)
    assert (few.column, few.n, few.psnr, few.ratio) == ("60 views", 2, 31.0, 0.4)
    assert (many.column, many.n) == ("120 views", 1)
    header, row = [line for line in rendered(scores).splitlines() if "views" in line or "fbp" in line]
    assert header.index("60 views") < header.index("120 views")
    assert "31.00" in row and "40.00" in row
    assert [s.column for s in summarise(SCORES)] == ["10 %", "10 %", "30 %"]
