"""``idm sense``: one file per picture, and one clear line for whatever is wrong."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from idmcli.measuring import to_batch
from idmcli.measuring.file import read_stored

Run = Callable[..., subprocess.CompletedProcess[str]]
Capture = pytest.CaptureFixture[str]
pytestmark = pytest.mark.usefixtures("folder")


def draw(path: str, shape: tuple[int, ...] = (40, 33), seed: int = 0, bits: int = 8) -> Path:
    Path(path).parent.mkdir(exist_ok=True)
    write_image(path, np.random.default_rng(seed).random(shape), bits)
    return Path(path)


def failed(capsys: Capture, *arguments: str) -> str:
    """The error lines of a command that ends with 2 and writes no result."""
    assert main(list(arguments)) == 2
    out, err = capsys.readouterr()
    assert out == "" and "Traceback" not in err and "internal" not in err
    return err


def files(folder: str = "measurements") -> list[str]:
    return sorted(path.name for path in Path(folder).glob("*"))


def test_a_file_measured_by_another_process_is_exact(idm: Run) -> None:
    draw("photo one.png", (40, 33, 3), bits=16)
    done = idm("sense", "photo one.png", "--ratio", "0.1", "--noise", "0.02", "--seed", "5", "--quiet")
    assert done.returncode == 0
    assert done.stderr.startswith("warning: 'photo one.png': 31.2 % measurements per pixel, not 10 %")
    assert done.stdout == (
        "photo one.png -> measurements/photo one.safetensors: cs, image 3x40x33 padded to 3x64x64, "
        f"y 3x4x103, {100 * 4 * 103 / 40 / 33:.1f} % measurements per pixel, noise 0.02, 0.01 MB\n"
    )
    m = read_stored("measurements/photo one.safetensors")
    operator = m.measurement().operator
    noise = m.y - operator.A(to_batch(read_image("photo one.png")))[0]
    assert 0.019 < float(noise.std()) < 0.021
    assert (m.colour, m.bits, m.noise, m.spec["seed"]) == ("rgb", 16, 0.02, 5)
    assert m.provenance.command == (
        "idm sense 'photo one.png' --set=operator.seed=5 --set=operator.noise=0.02 --set=operator.ratio=0.1"
    )


def test_the_recorded_command_gives_the_same_bytes() -> None:
    draw("a/x.png"), draw("a/y.png", seed=1)
    assert main(["sense", "a", "--preset", "inpainting", "--noise", "0.1", "--set", "operator.seed=3"]) == 0
    command = read_stored("measurements/x.safetensors").provenance.command
    assert main([*shlex.split(command.replace("x.png", "a/x.png"))[1:], "--out", "again"]) == 0
    assert Path("again/x.safetensors").read_bytes() == Path("measurements/x.safetensors").read_bytes()


@pytest.mark.parametrize("preset", ["cs", "inpainting", "mri", "ct", "deblur", "sr", "hdr", "nonlinear-deblur"])
def test_presets(preset: str, capsys: Capture) -> None:
    draw("a.png", (33, 40, 3))
    assert main(["sense", "a.png", "--preset", preset, "--noise=0"]) == 0
    m = read_stored("measurements/a.safetensors")
    in_colour = preset not in ("cs", "mri", "ct")  # these measure luminance
    assert m.spec["kind"] == preset.replace("-", "_") and m.spec["image_shape"] == [3 if in_colour else 1, 33, 40]
    truth = read_image("a.png").pixels.transpose(2, 0, 1) if in_colour else luminance_of("a.png")[None]
    error = m.measurement().operator.A(torch.from_numpy(np.ascontiguousarray(truth))[None])[0] - m.y
    assert float(error.abs().max()) < 1e-4 * float(m.y.abs().max())
    assert ("colours reduced to luminance" in capsys.readouterr().err) is not in_colour


def luminance_of(path: str) -> Any:
    rgb = read_image(path).pixels
    return (rgb @ np.array([0.299, 0.587, 0.114])).astype(np.float32)


def test_results_do_not_depend_on_the_other_files() -> None:
    for seed, name in enumerate("abc"):
        draw(f"in/{name}.png", seed=seed)
    noisy = ["--noise", "0.1"]
    assert main(["sense", "in/c.png", "in/a.png", "in/b.png", "--out", "one", *noisy]) == 0
    assert main(["sense", "in", "--out", "two", *noisy]) == 0
    assert main(["sense", "in/[b]*.png", "--out", "three", *noisy]) == 0
    assert files("one") == files("two") == [f"{name}.safetensors" for name in "abc"]
    for name in files("one"):
        assert Path("one", name).read_bytes() == Path("two", name).read_bytes()
    assert Path("three/b.safetensors").read_bytes() == Path("one/b.safetensors").read_bytes()
    seeds = {read_stored(Path("one", name)).spec["permutation_seed"] for name in files("one")}
    assert len(seeds) == 3


def test_json(capsys: Capture) -> None:
    draw("a.png"), draw("b.png", (32, 32))
    assert main(["sense", "a.png", "b.png", "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["command"], document["error"]) == ("sense", None)
    (warning,) = document["warnings"]  # of the small picture, which is padded
    assert err == f"warning: {warning}\n" and warning.startswith("'a.png': 93.3 % measurements per pixel, not 30 %")
    assert document["results"][0] == {
        "input": "a.png",
        "output": "measurements/a.safetensors",
        "kind": "cs",
        "image_shape": [1, 40, 33],
        "padded_shape": [1, 64, 64],
        "y_shape": [1, 4, 308],
        "ratio": 4 * 308 / 40 / 33,
        "noise": 0.0,
        "bytes": Path("measurements/a.safetensors").stat().st_size,
    }
    assert document["results"][1]["ratio"] == 308 / 1024


def test_one_bad_file_does_not_stop_the_others(capsys: Capture) -> None:
    draw("in/a.png"), draw("in/c.png")
    Path("in/b.png").write_bytes(b"not a picture")
    assert main(["sense", "in"]) == 2
    out, err = capsys.readouterr()
    assert len(out.splitlines()) == 2 and files() == ["a.safetensors", "c.safetensors"]
    first, advice, last, hint = (line for line in err.splitlines() if not line.startswith("warning: "))
    assert first.startswith("error: 'in/b.png' is not a readable image") and advice.startswith("hint: ")
    assert last == "error: 1 of 3 files failed" and hint.startswith("hint: ")
    assert main(["sense", "in", "--overwrite", "--json"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert [record["input"] for record in document["results"]] == ["in/a.png", "in/b.png", "in/c.png"]
    assert document["results"][1]["error"]["exit_code"] == 2 and "output" not in document["results"][1]
    assert document["error"]["message"] == "1 of 3 files failed"


def test_names_of_nothing_do_not_stop_the_others(capsys: Capture) -> None:
    draw("a.png"), draw("b.png", seed=1)
    arguments = ["a.png", "none.png", "*.jpg", "b.png"]
    assert main(["sense", *arguments]) == 2
    err = capsys.readouterr().err
    assert "error: 'none.png' does not exist" in err and "error: '*.jpg' matches no file" in err
    assert "error: 2 of 4 files failed\nhint: the others are done" in err
    assert files() == ["a.safetensors", "b.safetensors"]
    assert main(["sense", *arguments, "--json", "--overwrite"]) == 2
    document = json.loads(capsys.readouterr().out)
    assert [result["input"] for result in document["results"] if "error" in result] == ["none.png", "*.jpg"]
    assert len(document["results"]) == 4


def test_an_empty_name_is_not_the_folder_it_is_called_in(capsys: Capture) -> None:
    draw("a.png")
    assert "is a variable of the shell unset?" in failed(capsys, "sense", "")
    assert not Path("measurements").exists()


def test_operators_that_do_not_fit_name_the_file(capsys: Capture) -> None:
    draw("a.png")
    boxes = ["--preset", "inpainting", "--set", "operator.mask=boxes", "--set", "operator.boxes=[[0, 0, 41, 1]]"]
    [error, hint] = failed(capsys, "sense", "a.png", *boxes).splitlines()
    assert error.startswith("error: 'a.png': the box") and "40 x 33 image" in error and hint.startswith("hint: ")
    assert files() == []


def test_what_is_wrong_for_all_files_is_said_once(capsys: Capture) -> None:
    draw("in/a.png"), draw("in/b.png")
    mask = ["--preset", "inpainting", "--set", "operator.mask=file", "--set", "operator.mask_file=none.png"]
    assert failed(capsys, "sense", "in", *mask) == "error: the mask 'none.png' does not exist\nhint: check the path\n"
    write_image("none.png", np.ones((33, 40)))  # another size: that is about each picture
    assert "error: 2 of 2 files failed" in failed(capsys, "sense", "in", *mask)


@pytest.mark.parametrize("ratio", ["0", "-0.1", "1.5", "nan", "inf", "many"])
def test_ratios_that_are_none(capsys: Capture, ratio: str) -> None:
    draw("a.png")
    assert "--ratio" in failed(capsys, "sense", "a.png", f"--ratio={ratio}")
    assert not Path("measurements").exists()


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["none.png"], "error: 'none.png' does not exist\n"),
        (["none.png", "nor this"], "error: 'none.png' does not exist; 'nor this' does not exist\n"),
        (["none.png", "a.png", ""], "error: the argument '' is empty\n"),
        (["a.png", "--out="], "error: the argument '--out=' is empty\n"),
        (["in"], "error: the folder 'in' holds no such file"),
        (["*.jpg"], "error: '*.jpg' matches no file\n"),
        ([], "error: Missing argument"),
        (["a.png", "--seed=-1"], "error: Invalid value for '--seed'"),
        (["a.png", "--noise=-1"], "error: --noise: operator.noise = -1.0: expected"),
        (["a.png", "--colour=blue"], "error: Invalid value for '--colour'"),
        (["a.png", "--colour=rgb"], "error: 'a.png' is grey, and colour is asked for\n"),
        (["a.png", "--preset=ct", "--colour=rgb"], "error: task.channels = 3 (--colour), task.kind"),
        (
            ["a.png", "--preset=ct", "--ratio=0.2"],
            "error: --ratio: operator.ratio is for task cs, hadamard, inpainting or mri, and the task is ct",
        ),
        (["a.png", "--preset=cs-teeny"], "error: there is no preset called 'cs-teeny'\nhint: did you mean cs-tiny?"),
        (["a.png", "--set=operator.blocks=8"], "error: --set: unknown key operator.blocks; did you mean"),
        (["a.png", "--config=none.toml"], "error: 'none.toml' does not exist"),
        (["a.png", "--max-pixels=100"], "error: 'a.png' has 33 x 40 pixels, more than the limit of 100"),
        (["a.png", "--out=a.png"], "error: 'a.png' is not a folder"),
    ],
)
def test_wrong_usage(capsys: Capture, arguments: list[str], error: str) -> None:
    draw("a.png"), Path("in").mkdir()
    assert failed(capsys, "sense", *arguments).startswith(error)
    assert not Path("measurements").exists() or files() == []


def test_outputs_that_exist_are_refused_before_any_work(capsys: Capture) -> None:
    draw("a.png"), draw("b.png")
    assert main(["sense", "b.png"]) == 0
    before = Path("measurements/b.safetensors").read_bytes()
    capsys.readouterr()
    assert "'measurements/b.safetensors' exists already\nhint: use --overwrite" in failed(
        capsys, "sense", "a.png", "b.png", "--seed=1"
    )
    assert files() == ["b.safetensors"] and Path("measurements/b.safetensors").read_bytes() == before
    assert main(["sense", "a.png", "b.png", "--seed=1", "--overwrite"]) == 0
    assert Path("measurements/b.safetensors").read_bytes() != before


def test_coils_are_not_counted_as_more_of_k_space(capsys: Capture) -> None:
    draw("a.png", (32, 32))
    assert main(["sense", "a.png", "--preset", "mri", "--set", "operator.coils=8"]) == 0
    assert "% of k-space by 8 coils, " in capsys.readouterr().out
    assert main(["sense", "a.png", "--preset", "mri", "--set", "operator.coils=8", "--overwrite", "--json"]) == 0
    (record,) = json.loads(capsys.readouterr().out)["results"]
    assert 0.2 <= record["ratio"] < 0.3 and record["y_shape"][0] == 8


def test_names_that_collide_are_refused_before_any_work(capsys: Capture) -> None:
    draw("x/a.png"), draw("y/a.tif")
    error = failed(capsys, "sense", "x", "y")
    assert "'x/a.png' and 'y/a.tif' would both be written to 'measurements/a.safetensors'" in error
    assert not Path("measurements").exists()


def test_an_input_is_never_overwritten(capsys: Capture) -> None:
    picture = draw("a.png").rename("a.safetensors")
    before = picture.read_bytes()
    assert "is an input" in failed(capsys, "sense", "a.safetensors", "--out=.", "--overwrite")
    assert picture.read_bytes() == before


def test_configuration_is_printed_with_its_sources(capsys: Capture) -> None:
    assert main(["sense", "a.png", "--preset", "mri", "--seed", "3", "--print-config"]) == 0
    out = capsys.readouterr().out
    assert 'kind = "mri"' in out and "# preset mri" in out and "# --seed" in out
    assert not Path("measurements").exists()


def test_odd_names(capsys: Capture) -> None:
    odd = [os.fsdecode(b"\xff\x1b[31m.png"), "-dash.png", "new\nline.png"]
    for seed, name in enumerate(odd):
        draw(name, seed=seed)
    assert main(["sense", "--json", "--", *odd]) == 0
    assert len(json.loads(capsys.readouterr().out)["results"]) == 3
    for name in odd:
        m = read_stored(Path("measurements", Path(name).stem + ".safetensors").rename("odd.safetensors"))
        assert "\x1b" not in m.provenance.source + m.provenance.command


def test_ctrl_c_leaves_no_partial_file(monkeypatch: pytest.MonkeyPatch, capsys: Capture) -> None:
    draw("a.png", (32, 32)), draw("b.png", (32, 32))
    link, calls = os.link, []

    def interrupted(source: Any, target: Any) -> None:
        calls.append(target)
        if len(calls) == 2:
            raise KeyboardInterrupt
        link(source, target)

    monkeypatch.setattr(os, "link", interrupted)
    assert main(["sense", "a.png", "b.png"]) == 130
    assert files() == ["a.safetensors"]
    assert capsys.readouterr().err == "error: interrupted\n"


def test_photons_are_counted_alike_by_every_process(idm: Run, capsys: Capture) -> None:
    draw("a.png")
    options = ["--preset=ct", "--set=operator.views=9", "--set=operator.photons=1e4"]
    done = idm("sense", "a.png", *options, "--quiet")
    assert (done.returncode, done.stderr) == (0, "") and ", noise 0." in done.stdout
    m, first = read_stored("measurements/a.safetensors"), Path("measurements/a.safetensors").read_bytes()
    exact = m.measurement().operator.A(to_batch(read_image("a.png")))[0]
    assert m.noise == pytest.approx(float((m.y - exact).square().mean().sqrt()), rel=0.2)
    assert "--set=operator.photons=10000.0" in m.provenance.command
    assert main([*shlex.split(m.provenance.command)[1:], "--out", "again"]) == 0
    assert Path("again/a.safetensors").read_bytes() == first
    few = ["--set=solver.iterations=2", "--out"]
    assert main(["reconstruct", "a.png", *options, *few, "straight"]) == 0
    assert ", method hqs" in capsys.readouterr().out
    assert main(["reconstruct", "measurements/a.safetensors", *few, "filed"]) == 0
    assert Path("straight/a.png").read_bytes() == Path("filed/a.png").read_bytes()
