"""``idm eval``: tables that can be trusted."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli import tasks
from idmcli.cli import main
from idmcli.config import SolverConfig, load_config
from idmcli.evaluation.benchmark import Benchmark
from idmcli.io.images import luminance, read_image, write_image
from idmcli.methods import Method, Methods
from idmcli.metrics import psnr, ssim
from idmcli.models import shipped_weights
from idmcli.operators import Problem, add_noise
from idmcli.seeds import item_seed

Capture = pytest.CaptureFixture[str]
CPU = torch.device("cpu")
FAST = ["--method", "pinv"]
BLOCK = "--set=operator.block=8"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder ``data`` with a grey and a colour picture, in the folder to work in."""
    monkeypatch.chdir(tmp_path)
    Path("data").mkdir()
    rows, columns = np.mgrid[:24, :19] / 24
    write_image("data/grey.png", (rows + columns) / 2)
    write_image("data/colour.png", np.stack([rows, columns, 0.5 + 0 * rows], axis=2))
    return Path("data")


def document(capsys: Capture, *arguments: str, code: int = 0) -> dict[str, Any]:
    assert main(["eval", "--data", "data", *FAST, *arguments, "--json"]) == code
    result: dict[str, Any] = json.loads(capsys.readouterr().out)
    return result


def failed(capsys: Capture, *arguments: str) -> str:
    assert main(["eval", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and "internal" not in err
    return err


def test_table_files_and_published_figures(capsys: Capture) -> None:
    command = ["eval", "--data", "data", "--method", "pinv,tikhonov", "--dataset", "Set11", "--out", "scores"]
    assert main(command) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert [cell.strip() for cell in lines[0].split("|")[1:-1]] == [
        *("data", "method", "10 %", "30 %", "50 %", "seconds", "evaluations")
    ]
    assert [line.split("|")[2].strip() for line in lines[2:4]] == ["tikhonov", "pinv"]  # the better one first
    assert any("IDM (published)" in line and "32.92" in line for line in lines)
    assert "Measured on luminance. PSNR in dB on values clamped" in printed and "Chen et al." in printed
    rows = list(csv.DictReader(Path("scores/scores.csv").read_text().splitlines()))
    assert len(rows) == 2 * 2 * 3 and {row["image"] for row in rows} == {"grey.png", "colour.png"}
    assert len(Path("scores/means.csv").read_text().splitlines()) == 1 + 2 * 3
    content = json.loads(Path("scores/scores.json").read_text())
    assert len(content["results"]) == 12 and len(content["summary"]) == 6
    assert content["configuration"]["operator"]["block"] == 32 and content["measured"] == "luminance"
    assert {"IDM", "PRL-PGD+"} <= {figure["method"] for figure in content["published"]}


def test_scores_are_those_of_the_parts(capsys: Capture) -> None:
    results = document(
        capsys, BLOCK, "--ratio=0.5,0.25", "--ratio=0.5", "--method=tikhonov", "--noise=0.01", "--seed=4"
    )
    found = {(r["image"], r["method"], r["ratio"]): r for r in results["results"]}
    assert len(found) == 8 == len(results["results"])
    config = load_config(overrides=["operator.block=8", "operator.ratio=0.25", "operator.seed=4"]).config
    rgb = read_image("data/colour.png").pixels
    truth = torch.from_numpy(luminance(rgb).astype(np.float32))[None, None]
    operator: Any = tasks.find("cs").operator(config.operator, (1, 24, 19), "colour.png")
    y = add_noise(operator.A(truth), 0.01, item_seed(4, "colour.png/noise"))
    x = Methods(CPU).method("tikhonov", operator, None, SolverConfig())(Problem(operator, y, 0.01))
    score = found["colour.png", "tikhonov", 0.25]
    assert score["psnr"] == pytest.approx(float(psnr(x, truth)), abs=1e-4)
    assert score["ssim"] == pytest.approx(float(ssim(x, truth)), abs=1e-5)
    assert score["seconds"] > 0 and score["dataset"] == "data"


def test_results_do_not_depend_on_the_other_files(capsys: Capture, data: Path) -> None:
    def scores() -> dict[Any, Any]:
        results = document(capsys, "--ratio=0.3", "--noise=0.05", "--colour=grey")["results"]
        return {r["image"]: (r["psnr"], r["ssim"]) for r in results}

    both = scores()
    (data / "colour.png").rename("elsewhere.png")
    assert scores() == {"grey.png": both["grey.png"]}


def test_colour(capsys: Capture, data: Path) -> None:
    (data / "grey.png").unlink()
    grey = document(capsys, "--dataset=CBSD68", "--ratio=0.1")
    rgb = document(capsys, "--dataset=CBSD68", "--ratio=0.1", "--colour=rgb")
    assert (grey["summary"]["measured"], rgb["summary"]["measured"]) == ("luminance", "rgb")
    assert grey["results"][0]["psnr"] != rgb["results"][0]["psnr"]
    assert all(figure["ssim"] is None for figure in grey["summary"]["published"])
    assert all(figure["ssim"] is not None for figure in rgb["summary"]["published"])


@pytest.mark.parametrize("other", [["--preset=inpainting", "--ratio=0.5"], ["--ratio=0.5", "--noise=0.1"]])
def test_figures_of_another_problem_are_not_shown(capsys: Capture, other: list[str]) -> None:
    assert document(capsys, "--dataset=Set11", "--ratio=0.5")["summary"]["published"]
    assert document(capsys, "--dataset=Set11", *other)["summary"]["published"] == []


@pytest.mark.parametrize(
    ("arguments", "ratio"),
    [
        (["--set=operator.ratio=0.1"], 0.1),
        (["--preset=inpainting"], 0.3),
        (["--preset=mri"], 0.2),
        (["--preset=mri", "--set=operator.mask=equispaced"], 0.2632),  # 5 of 19 columns
        (["--preset=ct", "--set=operator.views=9", "--set=operator.detectors=30"], 0.5921),
    ],
)
def test_ratios_without_an_option(capsys: Capture, arguments: list[str], ratio: float) -> None:
    assert {r["ratio"] for r in document(capsys, *arguments)["results"]} == {ratio}


def test_one_bad_file_does_not_stop_the_others(capsys: Capture, data: Path) -> None:
    (data / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    results = document(capsys, "--ratio=0.3", "--out=scores", "--min-psnr=100", code=2)
    assert [r.get("image", r.get("input")) for r in results["results"]] == ["data/broken.png", "colour.png", "grey.png"]
    assert results["error"]["message"] == "1 of 3 files failed" and results["summary"]["summary"][0]["n"] == 2
    assert len(Path("scores/scores.csv").read_text().splitlines()) == 1 + 2
    for path in ("colour.png", "grey.png"):
        (data / path).write_bytes(b"")
    error = failed(capsys, "--data=data", *FAST, "--out=other")
    assert error.count("error: 'data/") == 3 and error.endswith("hint: the reasons are above\n")
    assert not Path("other").exists()


def test_min_psnr(capsys: Capture) -> None:
    arguments = ["eval", "--data=data", *FAST, "--ratio=0.3"]
    assert main([*arguments, "--min-psnr=1"]) == 0
    assert main([*arguments, "--min-psnr=90"]) == 1
    out, err = capsys.readouterr()
    assert out.count("| data") == 4 and "mean PSNR below 90 dB (pinv at 30 %: " in err


def test_a_perfect_reconstruction_is_infinite_not_a_number(capsys: Capture, data: Path) -> None:
    results = document(capsys, "--preset=inpainting", "--ratio=1", "--min-psnr=1000", "--out=scores")
    assert results["results"][0]["psnr"] is None and "infinite" in results["results"][0]["psnr_reason"]
    assert "inf" in Path("scores/scores.csv").read_text()


def test_files_that_exist_are_refused_before_any_work(capsys: Capture) -> None:
    Path("scores").mkdir()
    Path("scores/scores.json").write_text("mine")
    arguments = ["--data=data", *FAST, "--ratio=0.3", "--out=scores"]
    assert "'scores/scores.json' exists already" in failed(capsys, *arguments)
    assert Path("scores/scores.json").read_text() == "mine"
    assert main(["eval", *arguments, "--overwrite", "--quiet"]) == 0
    assert json.loads(Path("scores/scores.json").read_text())["version"]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--data=none"], "error: 'none' is not a folder"),
        (["--data=empty"], "error: the folder 'empty' holds no such file"),
        (["--data=data/grey.png"], "error: 'data/grey.png' is not a folder"),
        ([], "error: no pictures to evaluate"),
        (["--data=data", "--ratio=0.1,2"], "error: --ratio '2' is not a number above 0 and at most 1"),
        (["--data=data", "--ratio=0.1,,0.3"], "error: --ratio '' is not a number"),
        (["--data=data", "--ratio=nan"], "error: --ratio 'nan' is not a number"),
        (
            ["--data=data", "--preset=ct", "--ratio=0.1"],
            "error: --ratio: operator.ratio is for task cs, hadamard, inpainting or mri, and the task is ct",
        ),
        (
            ["--data=data", "--method=tikhonov,magic"],
            "error: --method 'magic' is unknown\nhint: `idm methods` describes",
        ),
        (["--data=data", "--method=tv", "--weights=w"], "error: none of these methods takes weights"),
        (["--data=data", "--method=vamp", "--weights=none"], "error: there is no weights file"),
        (["--data=data", "--method=tv,idm", "--prior=prior-mri"], "error: none of these methods takes a prior"),
        (["--data=data", "--method=vamp", "--prior=none"], "error: --prior 'none' is unknown"),
        (["--data=data", "--device=tpu"], "error: --device tpu is not a device"),
        (["--data=data", "--method=tv", "--colour=rgb"], "error: 'data/grey.png' is grey, and colour is asked for"),
        (["--data=data", "--out=data/grey.png"], "error: 'data/grey.png' is not a folder"),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], error: str) -> None:
    Path("empty").mkdir()
    if "--colour=rgb" in arguments:
        Path("data/colour.png").unlink()
    assert failed(capsys, *arguments).startswith(error)


def test_weights_are_for_the_methods_that_take_them() -> None:
    w = shipped_weights("cs-tiny")
    asked: list[tuple[Any, ...]] = []

    class Watched(Methods):
        def method(
            self, name: Any, operator: Any, weights: Any, settings: Any, *, prior: Any = None, **_: Any
        ) -> Method:
            asked.append((name, weights, prior))
            return super().method("pinv", operator, None, settings)

    config = load_config(overrides=["operator.ratio=0.5", "operator.block=8"]).config
    for prior in (None, "prior-grey"):
        benchmark = Benchmark("x", [config], ["tikhonov", "idm", "vamp", None], w, Watched(CPU), prior)
        assert len(list(benchmark.run(read_image(Path("data/grey.png"))))) == 4
    assert asked[:4] == [("tikhonov", None, None), ("idm", w, None), ("vamp", None, None), (None, w, None)]
    assert asked[4:6] == [("tikhonov", None, None), ("idm", w, None)]
    assert asked[6:] == [("vamp", None, "prior-grey"), (None, w, "prior-grey")]


@pytest.mark.parametrize("method", ["ddnm", "vamp"])
def test_a_picture_is_scored_as_it_is_reconstructed(capsys: Capture, data: Path, method: str) -> None:
    """Also by a method that samples: the seed follows from the measurement."""
    (data / "colour.png").unlink()
    options = {"ddnm": "solver.steps=3", "vamp": "solver.iterations=3"}
    same = ["--ratio=0.4", "--noise=0.02", "--seed=3", f"--method={method}", f"--set={options[method]}", "--json"]
    assert main(["eval", "--data=data", *same]) == 0
    (scored,) = json.loads(capsys.readouterr().out)["results"]
    assert main(["reconstruct", "data/grey.png", *same]) == 0
    (made,) = json.loads(capsys.readouterr().out)["results"]
    assert (scored["psnr"], scored["ssim"]) == (made["psnr"], made["ssim"])


def test_the_method_and_its_options_are_recorded(capsys: Capture) -> None:
    settings = ["--ratio=0.5", "--set=solver.method=tikhonov", "--set=solver.weight=0.01"]
    assert main(["eval", "--data=data", *settings, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert {r["method"] for r in result["results"]} == {"tikhonov"}
    solver = result["summary"]["configuration"]["solver"]
    assert solver == {"method": "tikhonov", "seed": None, "options": {"weight": 0.01}}


def test_ct_pictures_of_all_sizes_stand_in_the_column_of_their_views(capsys: Capture) -> None:
    write_image("data/small.png", np.eye(16))
    views = ["--preset=ct", "--set=operator.views=5", "--method=fbp,pinv"]
    assert main(["eval", "data", *views, "--min-psnr=99"]) == 1
    out, err = capsys.readouterr()
    header, _, pinv, fbp = out.splitlines()[:4]
    assert [cell.strip() for cell in header.split("|")[1:-1]] == [
        *("data", "method", "5 views", "seconds", "evaluations")
    ]
    assert "fbp" in fbp and "pinv" in pinv and "fbp at 5 views" in err
