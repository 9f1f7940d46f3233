"""Latent models from the command line: trained, stopped and resumed, and used by the methods that need one."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file
from skimage.data import shepp_logan_phantom
from skimage.transform import resize

from idmcli.cli import main
from idmcli.io.images import write_image
from tests.cli.photos import draw_photos
from tests.cli.test_train import TINY

Capture = pytest.CaptureFixture[str]
SETTINGS = TINY | {
    "model.channels": "[8, 8]",
    "model.autoencoder": "[8, 8]",
    "model.kind": "latent",
    "training.autoencoder_iterations": 2,
    "training.schedule": "constant",
    "training.iterations": 4,
}
FEW = [
    part
    for key, value in {"steps": 4, "every": 2, "pixel_iterations": 3, "latent_iterations": 3}.items()
    for part in ("--set", f"solver.{key}={value}")
]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a slice of a head."""
    monkeypatch.chdir(tmp_path)
    write_image("slice.png", 0.6 * np.asarray(resize(shepp_logan_phantom(), (40, 36), anti_aliasing=True), np.float32))
    return tmp_path


def train(out: str, *arguments: str, **changes: int) -> None:
    values = SETTINGS | {f"training.{key}": value for key, value in changes.items()}
    told = [part for key, value in values.items() for part in ("--set", f"{key}={value}")]
    assert main(["train", "--data", "photos", "--out", out, *arguments, *told, "-q"]) == 0


def test_a_run_that_was_stopped_ends_as_one_that_was_not(capsys: Capture) -> None:
    draw_photos()
    train("whole")
    for done in (2, 3):  # between the parts, and in the second
        train(f"stopped-{done}", iterations=done)
        train(f"stopped-{done}", "--resume")
        found, expected = (load_file(f"{out}/weights.safetensors") for out in (f"stopped-{done}", "whole"))
        assert found.keys() == expected.keys() and all(bool((found[name] == expected[name]).all()) for name in found)
    capsys.readouterr()
    assert main(["reconstruct", "slice.png", "--prior", "whole/weights.safetensors", *FEW, "--json"]) == 0
    (made,) = json.loads(capsys.readouterr().out)["results"]
    assert made["method"] == "resample" and made["psnr"] > 0


def test_settings_that_do_not_fit_the_latent_stage(capsys: Capture) -> None:
    draw_photos()
    told = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    for setting, message in (
        ("model.channels=[8, 12]", "multiples of 8 channels"),
        ("model.blocks=[1, 2]", "the same number on every scale"),
        ("training.patch=9", "each scale of the autoencoder halves the crops"),
        ("training.autoencoder_iterations=5", "are among the iterations"),
        ('model.size="full"', "model.size is for kind idm, prior or sr3"),
    ):
        assert main(["train", "--data", "photos", *told, "--set", setting]) == 2
        assert message in capsys.readouterr().err


def test_a_slice_with_the_shipped_weights(capsys: Capture) -> None:
    ct = ["reconstruct", "slice.png", "--preset", "ct", "--samples", "2", "--json"]
    for method, few in (("resample", FEW), ("psld", ["--set", "solver.steps=3", "--out", "by-psld"])):
        assert main([*ct, "--method", method, *few]) == 0
        (made,) = json.loads(capsys.readouterr().out)["results"]
        assert made["method"] == method and made["psnr"] > 5
    assert Path("reconstructions/slice_std.png").is_file() and Path("by-psld/slice_mean.png").is_file()


def test_what_does_not_go_together_is_said_in_one_sentence(capsys: Capture) -> None:
    for arguments, message, hint in (
        (["--ratio", "0.3", "--method", "psld"], "no latent prior for --method psld on task cs", "latent-ct-tiny"),
        (["--method", "vamp", "--prior", "latent-ct-tiny"], "needs a prior, and", "methods for it: psld, resample"),
        (["--method", "psld", "--prior", "prior-grey"], "needs a latent prior, and", "methods for it: daps"),
        (["--preset", "hdr", "--method", "psld", "--prior", "latent-ct-tiny"], "needs a linear operator", "gradient"),
    ):
        assert main(["reconstruct", "slice.png", *arguments]) == 2
        told = capsys.readouterr().err.splitlines()
        error, then = (line for line in told if not line.startswith("warning: "))
        assert message in error and hint in then
    assert main(["eval", ".", "--method", "vamp,tv", "--prior", "latent-ct-tiny"]) == 2
    assert "is a latent prior, which none of these methods takes" in capsys.readouterr().err
