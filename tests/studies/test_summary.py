"""Means and spreads, plots and pages of rows that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from idmcli.studies.plots import plot_results
from idmcli.studies.results import Row
from idmcli.studies.summary import lines_of, table

ROWS = [
    Row("a", 0, "Set11", 0.5, psnr=30.0, psnr_std=2.0, ssim=0.9, images=11, step_memory=2**30, paper="38 dB"),
    Row("a", 1, "Set11", 0.5, psnr=32.0, psnr_std=2.0, ssim=0.92, images=11, step_memory=2**30, paper="38 dB"),
    Row("b", 0, failed="train: no"),
]


def test_mean_and_spread_over_seeds() -> None:
    line, other = lines_of(ROWS)
    assert line.mean("psnr") == 31.0
    assert line.spread("psnr") == pytest.approx(2**0.5)
    assert other.mean("psnr") is None
    assert other.spread("psnr") is None


def test_the_table_leaves_out_what_is_empty_throughout() -> None:
    first, second = table(ROWS)
    assert first == {
        **{"variant": "a", "data": "Set11", "ratio": "50 %", "PSNR": "31.00", "± seeds": "1.41", "± images": "2.00"},
        **{"SSIM": "0.9100", "step memory": "1.00 GiB", "paper": "38 dB", "failed": ""},
    }
    assert second["failed"] == "train: no"
    assert table([]) == []


def test_plots_of_what_there_is(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert [path.name for path in plot_results(tmp_path, "title", ROWS)] == ["psnr.svg", "memory.svg"]
    assert "<svg" in (tmp_path / "psnr.svg").read_text()
    assert plot_results(tmp_path, "title", ROWS[2:]) == []


def test_a_curve_for_each_method_whose_variants_differ_in_their_evaluations(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    found = [
        Row(f"{method} {calls}", 0, "Set11", 0.5, psnr=30 + calls / 10, seconds=calls, evaluations=calls, method=method)
        for method in ("vamp", "idm")
        for calls in (5, 10)
    ]
    written = plot_results(tmp_path, "title", found)
    assert [path.name for path in written] == ["psnr.svg", "price.svg"]
    assert plot_results(tmp_path, "title", found[::2]) == written[:1]
