"""``idm train``: from pictures to weights that reconstruct, through stops and resumes."""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.cli import main
from idmcli.errors import InputError
from idmcli.io.images import write_image
from idmcli.models import precision
from idmcli.models.checkpoints import load_weights
from idmcli.models.denoiser import Denoiser
from idmcli.models.sampler import InvertibleDiffusion
from idmcli.runs import workflow
from idmcli.training.run_folder import RunFolder
from tests.cli.photos import draw_photos

Run = Callable[..., subprocess.CompletedProcess[str]]
Capture = pytest.CaptureFixture[str]
TINY = {
    "model.channels": "[8, 16]",
    "model.blocks": "[1, 1]",
    "training.iterations": 2,
    "training.batch": 2,
    "training.patch": 16,
    "training.warmup": 1,
    "training.log_every": 1,
}


def settings(**changes: Any) -> list[str]:
    """The options of a tiny run; in the names of ``changes``, ``__`` is a dot."""
    values = TINY | {name.replace("__", "."): value for name, value in changes.items()}
    values |= {"model.steps": 2} if values.get("model.kind") == "idm" else {}
    return [part for key, value in values.items() for part in ("--set", f"{key}={value}")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three pictures in ``photos``."""
    monkeypatch.chdir(tmp_path)
    draw_photos()
    return tmp_path


def train(capsys: Capture, *arguments: str) -> dict[str, Any]:
    """The result of a training that succeeds."""
    assert main(["train", "--data", "photos", *arguments, "--json"]) == 0, capsys.readouterr().out
    document = json.loads(capsys.readouterr().out)
    (result,) = document["results"]
    assert isinstance(result, dict)
    return result


def failed(capsys: Capture, *arguments: str) -> str:
    """The error lines of a training that ends with 2."""
    assert main(["train", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("error:") == 1 and "Traceback" not in err and "internal" not in err
    return err


def rows(folder: str) -> list[int]:
    with RunFolder(Path(folder)).metrics.open() as file:
        return [int(row["iteration"]) for row in csv.DictReader(file)]


def test_a_prior_then_the_whole_then_a_reconstruction(capsys: Capture) -> None:
    result = train(capsys, *settings(), "--out", "prior")
    assert result["weights"] == "prior/weights.safetensors"
    assert list(result["validation"]) == ["psnr_sigma_0.025", "psnr_sigma_0.1", "psnr_sigma_0.4"]
    prior = load_weights(Path(result["weights"]))
    assert isinstance(prior, Denoiser) and prior.config.unet.channels == (8, 16)

    end = settings(model__kind="idm", model__rule="matched", training__learning_rate=1e-9)
    result = train(capsys, *end, "--out", "end", "--init", "prior/weights.safetensors")
    model = load_weights(Path(result["weights"]))
    assert isinstance(model, InvertibleDiffusion)
    for name, tensor in prior.state_dict().items():  # hardly moved: it started from the prior
        torch.testing.assert_close(model.denoiser.state_dict()[name], tensor, rtol=0, atol=1e-3)

    for weights, method in (("prior/weights.safetensors", "vamp"), ("end/weights.safetensors", "idm")):
        command = ["reconstruct", "photos/0.png", "--weights", weights, "--set", "operator.block=16", "--out", method]
        assert main([*command, "--json"]) == 0
        (shown,) = json.loads(capsys.readouterr().out)["results"]
        assert shown["method"] == method and shown["psnr"] > 5
    assert sorted(path.name for path in Path("end").iterdir()) == [
        ".lock",
        "checkpoint.pt",
        "config.toml",
        "metrics.csv",
        "run.json",
        "samples",
        "weights.safetensors",
    ]


def test_a_conditional_noise_estimator_then_samples_of_a_reconstruction(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "prior")
    conditional = settings(model__kind="sr3", operator__block=16)
    result = train(capsys, *conditional, "--out", "sr3", "--init", "prior/weights.safetensors")
    assert list(result["validation"]) == ["psnr_ratio_0.10", "psnr_ratio_0.30", "psnr_ratio_0.50"]
    assert load_weights(Path(result["weights"])).trained_for["task"] == "cs"  # type: ignore[index]
    train(capsys, *settings(training__iterations=3), "--out", "sr3", "--resume")
    command = ["reconstruct", "photos/0.png", "--set", "operator.block=16", "--set", "solver.steps=3"]
    given = ["--weights", "sr3/weights.safetensors", "--samples", "2"]
    assert main([*command, *given, "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)["results"]
    assert shown["method"] == "sr3" and shown["psnr"] > 5 and Path(shown["std"]).is_file()
    assert main(["eval", "photos", "--method", "sr3", *command[2:], *given[:2], "--ratio", "0.3"]) == 0
    assert "| sr3 " in capsys.readouterr().out


@pytest.mark.parametrize("kind", ["cs", "inpainting", "mri", "ct", "deblur", "sr", "hdr"])
def test_every_task_with_a_conditional_noise_estimator(kind: str, capsys: Capture) -> None:
    own = {"cs": {"operator.block": 16}, "ct": {"operator.views": 6}}.get(kind, {})
    result = train(capsys, *settings(task__kind=kind, model__kind="sr3", training__batch=1, **own))
    assert all(np.isfinite(score) for score in result["validation"].values()) and result["validation"]


@pytest.mark.parametrize("kind", ["cs", "inpainting", "mri", "ct", "deblur", "sr"])
def test_every_task_end_to_end(kind: str, capsys: Capture) -> None:
    own = {"cs": {"operator.block": 16}, "ct": {"operator.views": 6}}.get(kind, {})
    options = settings(task__kind=kind, model__kind="idm", training__batch=1, **own)
    result = train(capsys, *options, "--out", kind)
    assert all(np.isfinite(score) for score in result["validation"].values())
    assert rows(kind) == [1, 2]


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "muon"])
def test_every_optimiser_in_bf16(optimizer: str, capsys: Capture) -> None:
    train(capsys, *settings(training__optimizer=optimizer, training__precision="bf16"), "--out", "run")
    assert rows("run") == [1, 2]


def test_colour(capsys: Capture) -> None:
    write_image("photos/colour.png", np.random.default_rng(0).random((20, 20, 3)))
    train(capsys, *settings(task__channels=3), "--out", "run")
    assert load_weights(Path("run/weights.safetensors")).config.unet.image_channels == 3  # type: ignore[union-attr]


def test_a_network_as_it_starts(capsys: Capture) -> None:
    train(capsys, *settings(model__kind="prior"), "--out", "prior")
    start = ("--init", "prior/weights.safetensors", "--out", "start")
    said = train(capsys, *settings(model__kind="idm", training__iterations=0), *start)
    assert said["validation"] == {}
    prior, model = (load_weights(Path(name, "weights.safetensors")) for name in ("prior", "start"))
    assert isinstance(prior, Denoiser) and isinstance(model, InvertibleDiffusion)
    tensors = dict(model.denoiser.named_parameters())
    assert all(torch.equal(value, tensors[name]) for name, value in prior.named_parameters())


def test_the_same_seed_gives_the_same_bytes(capsys: Capture) -> None:
    first, again, other = (
        Path(train(capsys, *settings(), "--out", out, "--seed", seed)["weights"]).read_bytes()
        for out, seed in (("a", "3"), ("b", "3"), ("c", "4"))
    )
    assert first == again != other


def test_what_is_left_out_is_said(capsys: Capture) -> None:
    write_image("photos/small.png", np.zeros((8, 8)))
    Path("photos/broken.png").write_bytes(b"")
    assert main(["train", "--data", "photos", *settings(), "--out", "run"]) == 0
    err = capsys.readouterr().err
    assert "left out 1 pictures smaller than a crop of 16 x 16 pixels" in err and "broken.png" in err
    assert "3 pictures" in err


def test_errors_before_any_training(capsys: Capture) -> None:
    cases = [
        ([], "nothing says what to train"),
        (settings(), "no pictures to train on"),
        (["--data", "none", *settings()], "none"),
        (["--data", "photos", *settings(training__patch=64)], "no picture to train on: 0 unreadable, 3 smaller"),
        (["--data", "photos", *settings(model__blocks="[1]")], "model.blocks"),
        (["--data", "photos", *settings(model__kind="idm", model__channels="[8, 20]")], "multiple of 16"),
        (["--data", "photos", *settings(), "--init", "none.safetensors"], "no weights file 'none.safetensors'"),
        (["--data", "photos", "--preset", "nonsense"], "nonsense"),
        (["--data", "photos", "--resume", "--out", "none"], "there is no run to resume in 'none'"),
        (["--data", "photos", "--resume", "--out", "none", "--init", "w"], "leave out --config and --init"),
        (["--data", "photos", *settings(), "--device", "abacus"], "--device abacus is not a device"),
        (["--data", "photos", *settings(), "--out", "photos/0.png"], "is not a folder"),
    ]
    for arguments, message in cases:
        assert message in failed(capsys, *arguments), arguments
    assert not Path("runs").exists()


def test_a_network_without_a_prior_to_start_from_is_remarked_on(capsys: Capture) -> None:
    options = settings(model__kind="idm", training__iterations=1, training__batch=1, model__rule="matched")
    warning = "warning: no --init: the network starts from random weights"
    for more, warned in (([], True), (["--resume"], False)):
        assert main(["train", "--data", "photos", *options, "--out", "run", *more]) == 0
        assert (warning in capsys.readouterr().err) == warned
    missing = ["train", "--data", "none", *settings(model__kind="idm"), "--memory-budget", "1GiB"]
    assert main(missing) == 2
    assert "activations" not in capsys.readouterr().err  # no memory plan was made first


def test_wrong_weights_to_start_from(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "prior")
    start = ["--data", "photos", "--init", "prior/weights.safetensors", "--out", "end"]
    other = settings(model__kind="idm", model__channels="[8, 32]")
    assert "has tensors of other shapes" in failed(capsys, *start, *other)
    assert not Path("end").exists()


def test_what_a_network_started_from_is_said(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "prior")
    end = [*settings(model__kind="idm"), "--init", "prior/weights.safetensors", "--out"]
    start = train(capsys, *end, "a")["init"]
    assert start["source"] == "prior/weights.safetensors" and start["unfit"] == start["differences"] == []
    assert main(["train", "--data", "photos", *end, "b"]) == 0
    said = f"from prior/weights.safetensors: {start['tensors']} tensors, {start['parameters'] / 1e6:.2f} M parameters "
    assert (
        f"{said}loaded; {start['own']} of the network's own (injectors, couplings) keep their start\n"
        in capsys.readouterr().err
    )


@pytest.mark.parametrize("env", [{"HF_HUB_OFFLINE": "1"}, {"HF_ENDPOINT": "http://127.0.0.1:9"}])
def test_a_model_of_the_hub_without_a_network(env: dict[str, str], folder: Path, idm: Run) -> None:
    name = "sd-legacy/stable-diffusion-v1-5"
    command = ["train", "--data", "photos", "--set", "model.size=full", "--init", name]
    done = idm(*command, HF_HOME=str(folder / "hub"), NO_PROXY="127.0.0.1", **env)
    assert done.returncode == 2 and done.stdout == ""
    error, hint = done.stderr.splitlines()
    assert error.startswith(f"error: --init '{name}' is not here, and cannot be had from the Hugging Face hub: ")
    assert hint == "hint: download the model's folder unet where there is a network, and give its path to --init"
    assert not Path("runs").exists()


def test_a_start_that_is_none(capsys: Capture) -> None:
    full = ["--data", "photos", "--set", "model.size=full", "--init"]
    assert "is neither a weights file nor a folder with unet/config.json" in failed(capsys, *full, "photos")
    assert "there is no weights file 'none.pkl'" in failed(capsys, *full[:2], *settings(), "--init", "none.pkl")
    assert "are for full-size networks only" in failed(capsys, *full[:2], *settings(), "--init", "photos")
    assert not Path("runs").exists()


def test_a_run_is_not_overwritten(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    before = Path("run/weights.safetensors").read_bytes()
    err = failed(capsys, "--data", "photos", *settings(training__seed=1), "--out", "run")
    assert "holds a run already" in err and "--resume" in err
    assert Path("run/weights.safetensors").read_bytes() == before


def test_a_run_that_ended_before_its_first_checkpoint_can_be_started_again(capsys: Capture) -> None:
    diverging = settings(training__iterations=30, training__learning_rate=1e30, training__optimizer="adam")
    assert main(["train", "--data", "photos", *diverging, "--out", "run"]) == 3
    assert "not finite for 10 iterations in a row" in capsys.readouterr().err
    assert Path("run/config.toml").exists() and not Path("run/checkpoint.pt").exists()
    assert "no checkpoint to resume from" in failed(capsys, "--data", "photos", "--resume", "--out", "run")
    train(capsys, *settings(), "--out", "run")
    assert rows("run") == [1, 2]


def test_a_longer_run_after_a_finished_one(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    train(capsys, "--resume", "--out", "run", "--set", "training.iterations=4")
    assert rows("run") == [1, 2, 3, 4]


def contents(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("model.channels=[8, 32]", "model.channels = [8, 32], but the run was started with [8, 16]"),
        ("operator.noise=0.1", "operator.noise = 0.1, but the run was started with 0.0"),
        ("operator.ratio=0.1", "operator.ratio = 0.1, but the run was started with not set"),
        ("task.kind=mri", "operator.block is for task cs or matrix, and the task is mri"),
        ("model.kind=idm", 'model.kind = "idm", but the run was started with "prior"'),
        ("training.learning_rate=1.0", "training.learning_rate = 1.0, but the run was started with 0.001"),
        ("training.iterations=1", "training.iterations = 1, but the run has done 2"),
    ],
)
def test_what_would_be_another_run_is_refused(change: str, message: str, capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    before = contents("run")
    assert message in failed(capsys, "--data", "photos", "--resume", "--out", "run", "--set", change)
    assert contents("run") == before
    free = [f"training.{key}=1" for key in ("checkpoint_every", "log_every", "validate_every", "threads")]
    train(capsys, "--resume", "--out", "run", *(part for key in free for part in ("--set", key)))


def test_other_pictures_are_refused(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    before = contents("run")
    Path("photos/0.png").rename("photos/9.png")
    err = failed(capsys, "--data", "photos", "--resume", "--out", "run")
    assert "--data holds 3 pictures (names and sizes " in err and "the run was started with 3 pictures (names" in err
    assert contents("run") == before
    Path("photos/9.png").rename("photos/0.png")
    train(capsys, "--resume", "--out", "run")
    Path("photos/9.png").unlink(missing_ok=True)
    Path("run/run.json").unlink()  # of a run that was started before there were records
    train(capsys, "--resume", "--out", "run")


def test_a_resumed_run_remembers_what_it_started_from(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "prior")
    train(capsys, *settings(), "--out", "run", "--init", "prior/weights.safetensors")
    train(capsys, "--resume", "--out", "run", "--set", "training.iterations=3")
    assert load_weights(Path("run/weights.safetensors")).training_record["init"] == "weights.safetensors"


def test_automatic_precision_is_settled_once(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    train(capsys, *settings(training__precision="auto"), "--out", "run")
    assert 'precision = "bf16"' in Path("run/config.toml").read_text()
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)  # on another machine
    train(capsys, "--resume", "--out", "run", "--set", "training.iterations=3")
    assert load_weights(Path("run/weights.safetensors")).training_record["config"]["training"]["precision"] == "bf16"


def test_precision_by_its_option(capsys: Capture) -> None:
    train(capsys, *settings(), "--precision", "bf16", "--out", "run")
    assert 'precision = "bf16"' in Path("run/config.toml").read_text()


def test_pictures_that_do_not_fit_are_decoded_as_they_are_needed(capsys: Capture) -> None:
    options = settings(training__iterations=6)
    for out, more in (("kept", []), ("streamed", ["--set", "training.cache=9KB", "--set", "training.workers=2"])):
        assert main(["train", "--data", "photos", *options, *more, "--out", out]) == 0
        said = "3 pictures (2 of them decoded as they are needed)" if out == "streamed" else "3 pictures, "
        err = capsys.readouterr().err
        assert said in err and "% waiting for data" in err
    kept, streamed = (torch.load(f"{out}/checkpoint.pt", weights_only=True) for out in ("kept", "streamed"))
    torch.testing.assert_close(kept, streamed, rtol=0, atol=0)


def test_a_run_goes_on_in_other_parts_and_with_other_workers(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    more = ["training.iterations=4", "training.accumulate=2", "training.workers=1", "training.cache=1KB"]
    train(capsys, "--resume", "--out", "run", *(part for key in more for part in ("--set", key)))
    assert rows("run") == [1, 2, 3, 4]


@pytest.mark.skipif(not shutil.which("g++"), reason="needs a C++ compiler")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore:The .grad attribute of a Tensor:UserWarning")
def test_compiled_training_is_the_same_up_to_rounding(capsys: Capture) -> None:
    end = settings(model__kind="idm", operator__block=16, model__channels="[8]", model__blocks="[1]")
    for out, compiled in (("plain", "false"), ("compiled", "true")):
        train(capsys, *end, "--set", f"training.compile={compiled}", "--out", out)
    plain, compiled = (torch.load(f"{out}/checkpoint.pt", weights_only=True)["model"] for out in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
    for name, tensor in plain.items():
        torch.testing.assert_close(compiled[name], tensor, rtol=0, atol=1e-3)


def test_what_cannot_be_done_in_parts_or_compiled(capsys: Capture, monkeypatch: pytest.MonkeyPatch) -> None:
    error = failed(capsys, "--data", "photos", *settings(training__accumulate=3))
    assert "training.accumulate = 3 (--set): accumulate must divide batch" in error
    monkeypatch.setattr(shutil, "which", lambda name: None)
    error = failed(capsys, "--data", "photos", *settings(training__compile="true"))
    assert "training.compile needs a C++ compiler" in error
    assert not Path("runs").exists()


def test_training_outlives_its_terminal() -> None:
    """Whoever reads stderr goes away, from a pipe and from a terminal: the run ends as ever."""
    options = settings(training__iterations=6, training__validate_every=1)
    for name, (reader, writer) in {"pipe": os.pipe(), "terminal": os.openpty()}.items():
        command = [sys.executable, "-m", "idmcli", "train", "--data", "photos", *options, "--out", name]
        environment = os.environ | {"OMP_NUM_THREADS": "1", "TERM": "xterm"}
        with subprocess.Popen(command, env=environment, stderr=writer, stdout=subprocess.PIPE) as process:
            os.close(writer)
            assert os.read(reader, 1)
            os.close(reader)
            out, _ = process.communicate(timeout=500)
        assert process.returncode == 0 and out.startswith(f"{name}/weights.safetensors".encode())
        assert rows(name) == list(range(1, 7))


def test_a_damaged_checkpoint(capsys: Capture) -> None:
    train(capsys, *settings(), "--out", "run")
    Path("run/checkpoint.pt").write_bytes(b"nothing of the kind")
    assert "is damaged or does not fit" in failed(capsys, "--data", "photos", "--resume", "--out", "run")


def test_two_processes_in_one_folder(capsys: Capture) -> None:
    Path("run").mkdir()
    with RunFolder(Path("run")).locked():
        assert "another process is training in" in failed(capsys, "--data", "photos", *settings(), "--out", "run")


def test_a_run_started_while_this_one_read_its_pictures_is_not_overwritten(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether there is a run in the folder is decided under its lock."""
    plain = workflow.find_pictures
    kept: dict[str, bytes] = {}

    def late(*inputs: Any) -> Any:
        found = plain(*inputs)
        if not kept:
            kept["config.toml"] = b""
            train(capsys, *settings(training__iterations=3), "--out", "run")
            kept.update({path.name: path.read_bytes() for path in Path("run").iterdir() if path.is_file()})
        return found

    monkeypatch.setattr(workflow, "find_pictures", late)
    assert "'run' holds a run already" in failed(capsys, "--data", "photos", *settings(), "--out", "run")
    assert len(kept) > 3 and all(Path("run", name).read_bytes() == content for name, content in kept.items())


def test_the_folder_of_a_run_goes_away() -> None:
    """Moved while it is written to, it is not made again: one sentence, and the run goes on where it is now."""
    options = settings(training__iterations=2000, training__checkpoint_every=1)
    command = [sys.executable, "-m", "idmcli", "train", "--data", "photos", *options, "--out", "run"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not Path("run/checkpoint.pt").exists():
            assert process.poll() is None
            time.sleep(0.02)
        Path("run").rename("moved")
        out, err = process.communicate(timeout=500)
    assert (process.returncode, out) == (4, "") and "Traceback" not in err
    assert "the run folder 'run' is gone: it was moved, removed or unmounted\n" in err
    assert not Path("run").exists() and Path("moved/checkpoint.pt").exists()


def test_an_interrupted_run_has_averaged_weights(capsys: Capture) -> None:
    """Those of its last checkpoint, from the folder itself, without its weights file."""
    train(capsys, *settings(model__kind="idm", training__iterations=3), "--out", "run")
    finished = load_weights("run/weights.safetensors")
    Path("run/weights.safetensors").unlink()
    model = load_weights("run")
    assert model.trained_for == finished.trained_for and model.training_record["iteration"] == 3
    for name, tensor in finished.state_dict().items():
        torch.testing.assert_close(model.state_dict()[name], tensor, rtol=1e-3, atol=1e-6)  # float16 in the file
    assert main(["convert", "run", "--out", "stopped.safetensors"]) == 0
    converted = load_weights("stopped.safetensors").state_dict()
    assert all(torch.equal(converted[name], tensor) for name, tensor in model.state_dict().items())
    results = []
    for name in ("run", "stopped.safetensors"):
        capsys.readouterr()
        picture = str(sorted(Path("photos").iterdir())[0])
        assert main(["reconstruct", picture, "--weights", name, "-o", f"{name}-out", "--json"]) == 0
        results.append(json.loads(capsys.readouterr().out)["results"][0])
    assert results[0]["psnr"] == results[1]["psnr"] and results[0]["method"] == "idm"
    Path("run/checkpoint.pt").unlink()
    with pytest.raises(InputError, match="there is no checkpoint in the run folder 'run'"):
        load_weights("run")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_run_resumes_to_the_same_weights(
    number: signal.Signals, code: int, capsys: Capture
) -> None:
    """Stopped in its own process; finished in this one; compared with a run in one piece."""
    options = settings(training__iterations=40, training__checkpoint_every=1000)
    command = [sys.executable, "-m", "idmcli", "train", "--data", "photos", *options, "--out", "stopped"]
    process = subprocess.Popen(
        command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    metrics = Path("stopped/metrics.csv")
    while not metrics.exists():
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    out, err = process.communicate(timeout=500)
    assert process.returncode == code and out == "" and "Traceback" not in err
    assert "continue with: idm train --resume --out stopped --data=photos" in err
    done = torch.load("stopped/checkpoint.pt", weights_only=True)["iteration"]
    assert 1 <= done < 40 and not Path("stopped/weights.safetensors").exists()
    torch.set_num_threads(1)
    train(capsys, "--resume", "--out", "stopped")
    train(capsys, *options, "--out", "whole")
    assert rows("stopped") == rows("whole") == list(range(1, 41))
    stopped, whole = (load_weights(Path(f"{name}/weights.safetensors")).state_dict() for name in ("stopped", "whole"))
    assert [name for name in whole if not torch.equal(whole[name], stopped[name])] == []


def test_the_configuration_is_printed_without_any_work(capsys: Capture) -> None:
    assert main(["train", "--preset", "cs-tiny", "--print-config"]) == 0
    assert 'kind = "idm"' in capsys.readouterr().out
    assert not Path("runs").exists()
