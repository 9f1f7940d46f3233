"""``idm info``: what a file holds, as it was written, for every kind of file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from idmcli.models import shipped_weights
from tests import foreign
from tests.faults.hostile import Capture, draw, failed, results, run


@pytest.fixture(autouse=True)
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def shown(capsys: Capture, path: str | Path) -> dict[str, Any]:
    """The record of one file; the text has its values as well."""
    [record] = results(capsys, "info", path)["results"]
    out, _ = run(capsys, "info", path)
    assert f"type {record['type']}".split() in [line.split() for line in out.splitlines()]
    return record  # type: ignore[no-any-return]


def test_measurements_and_results(capsys: Capture) -> None:
    draw("a.png")
    run(capsys, "sense", "a.png", "--ratio=0.3", "--noise=0.1", "--set=operator.block=8", "--scale=0,2,mV")
    m = shown(capsys, "measurements/a.safetensors")
    assert (m["type"], m["measured"], m["scale"], m["noise"]) == (
        "measurements",
        "31.2 % measurements per pixel",
        "0 to 2 mV",
        0.1,
    )
    assert (m["operator"]["kind"], m["operator"]["block"], m["made"]["source"]) == ("cs", 8, "a.png")
    run(capsys, "reconstruct", "measurements/a.safetensors", "--method=tv", "--set=solver.iterations=2")
    found = shown(capsys, "reconstructions/a.png")
    assert (found["type"], found["pixels"], found["made"]["method"]) == ("picture", "16 x 16", "tv")
    assert found["made"]["options"]["iterations"] == 2 and found["made"]["source"] == "a.png"
    assert shown(capsys, "a.png")["made"] == {}


def test_a_picture_of_values_is_described_before_it_has_a_scale(capsys: Capture) -> None:
    values = np.array([[-1073, 0], [12, 855]], np.int16)
    Pillow.fromarray(values.astype(np.int32)).save("slice.tif")
    found = shown(capsys, "slice.tif")
    assert (found["type"], found["samples"], found["scale"]) == ("picture", "int32, -1073 to 855", None)
    assert "--scale LOW,HIGH" in found["notes"][0]


def test_weights(capsys: Capture) -> None:
    network = shown(capsys, shipped_weights("cs-tiny"))
    assert (network["type"], network["trained_for"]["task"]) == ("network", "cs")
    prior = shown(capsys, shipped_weights("prior-ct"))
    assert (prior["type"], prior["channels"], prior["trained_for"]["domain"]) == ("prior", 1, "computed tomography")
    shapes = foreign.FILES["ffdnet_gray.pth"]
    torch.save(foreign.drawn(shapes), "ffdnet_gray.pth")
    theirs = shown(capsys, "ffdnet_gray.pth")
    assert (theirs["type"], theirs["parameters"], theirs["name"]) == ("prior", foreign.count(shapes), "ffdnet_gray")


def test_a_run(capsys: Capture) -> None:
    draw("data/a.png", (32, 32))
    small = [f"--set=training.{value}" for value in ("iterations=2", "batch=1", "patch=16", "log_every=1")]
    small += ["--set=model.channels=[4]", "--set=model.blocks=[1]"]
    run(capsys, "train", "--preset=prior-grey", "--data=data", "--out=runs/x", *small)
    record = shown(capsys, "runs/x")
    assert (record["type"], record["last"]["iteration"], record["started"]["pictures"]) == ("run", "2", 1)
    assert record["checkpoint"] and record["weights"] and record["config"]["training"]["patch"] == 16


def test_what_is_none(capsys: Capture) -> None:
    draw("a.png")
    Path("b.txt").write_text("no"), Path("empty").mkdir()
    document = results(capsys, "info", "a.png", "b.txt", "empty", "gone", code=2)
    assert [record.get("type") for record in document["results"]] == ["picture", None, None, None]
    assert document["error"]["message"] == "3 of 4 files failed"
    assert "'empty' is a folder of neither a run nor a model" in failed(capsys, "info", "empty")
