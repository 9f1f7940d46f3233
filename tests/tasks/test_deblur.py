"""Deblurring, linear and not, as tasks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from idmcli.cli import main
from idmcli.errors import ConfigError
from idmcli.io.images import write_image
from idmcli.operators.kernels import gaussian_kernel
from idmcli.tasks import Task, find
from tests.small import camera

SHAPE = (1, 18, 21)
BOTH = pytest.mark.parametrize("task", [find("deblur"), find("nonlinear_deblur")], ids=lambda task: task.kind)


def kernel_of(task: Task[Any], item: str = "a", **options: Any) -> torch.Tensor:
    operator = task.operator(task.options(**options), SHAPE, item)
    return dict(operator.named_buffers())["kernel" if task.kind == "deblur" else "blur.kernel"]


@BOTH
def test_the_customary_kernel_is_the_default(task: Task[Any]) -> None:
    assert torch.equal(kernel_of(task, kernel="gaussian"), gaussian_kernel(61, 3.0))
    assert torch.equal(kernel_of(task, kernel="gaussian", size=9, std=1.0), gaussian_kernel(9, 1.0))


@BOTH
def test_motions_come_from_seed_and_name(task: Task[Any]) -> None:
    motions = [
        kernel_of(task, item, kernel="motion", seed=seed) for seed, item in [(0, "a")] * 2 + [(0, "b"), (1, "a")]
    ]
    assert torch.equal(motions[0], motions[1]) and motions[0].shape == (61, 61)
    assert not torch.equal(motions[0], motions[2]) and not torch.equal(motions[0], motions[3])


@BOTH
def test_kernels_from_files(task: Task[Any], folder: Path) -> None:
    kernel = np.array([[0, 1.0], [0.2, 0.6], [0, 0]])
    write_image("k.png", kernel)
    found = kernel_of(task, kernel="file", kernel_file="k.png")
    torch.testing.assert_close(found, torch.from_numpy(kernel / kernel.sum()), rtol=0, atol=1e-6)
    write_image("colour.png", np.random.default_rng(0).random((3, 3, 3)))
    write_image("black.png", np.zeros((3, 3)))
    for name, message in (("colour.png", "has colours"), ("black.png", "all black"), ("none.png", "the kernel")):
        with pytest.raises(ConfigError, match=message):
            kernel_of(task, kernel="file", kernel_file=name)


@BOTH
@pytest.mark.parametrize(
    ("options", "keys", "expected"),
    [
        ({"kernel": "file"}, ("kernel",), "operator.kernel_file"),
        ({"kernel": "motion", "std": 1.0}, ("std", "kernel"), "gaussian"),
        ({"kernel": "gaussian", "intensity": 0.5}, ("intensity", "kernel"), "motion"),
        ({"kernel": "file", "kernel_file": "a", "size": 5}, ("size", "kernel"), '"gaussian" or "motion"'),
        ({"kernel": "motion", "kernel_file": "a"}, ("kernel_file", "kernel"), "file"),
        ({"size": 60}, ("size",), "odd"),
    ],
)
def test_options_of_another_kernel_are_conflicts(
    task: Task[Any], options: dict[str, Any], keys: tuple[str, ...], expected: str
) -> None:
    ((found, text),) = task.conflicts(task.options(**options))
    assert found == keys and expected in text


def test_texts_and_what_networks_are_bound_to() -> None:
    task, nonlinear = find("deblur"), find("nonlinear_deblur")
    gaussian, motion = (task.operator(task.options(kernel=kernel), SHAPE, "a") for kernel in ("gaussian", "motion"))
    assert task.amount(gaussian) == (1.0, "Gaussian blur of 3 pixels")
    assert task.amount(motion) == (1.0, "blur by a kernel of 61 x 61 pixels")
    assert nonlinear.amount(nonlinear.operator(nonlinear.options(), SHAPE, "a")).text.endswith(
        "61 x 61 pixels in linear light"
    )
    assert task.identity(gaussian) == {"kernel": "gaussian"} != task.identity(motion)


def test_a_measured_motion_is_all_in_the_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image("a.png", camera(24)[0, 0].numpy())
    options = ["--preset", "motion-deblur", "--method", "tikhonov"]
    assert main(["reconstruct", "a.png", *options, "--out", "direct"]) == 0
    assert main(["sense", "a.png", "--preset", "motion-deblur"]) == 0
    assert main(["reconstruct", "measurements/a.safetensors", "--method", "tikhonov", "--out", "file"]) == 0
    assert Path("direct/a.png").read_bytes() == Path("file/a.png").read_bytes()


def test_networks_are_not_trained_for_what_is_not_linear(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_image("a.png", camera(80)[0, 0].numpy())
    options = ["--set", "task.kind=nonlinear_deblur", "--set", "model.kind=idm"]
    assert main(["train", "--data", "a.png", *options]) == 2
    assert "is not linear" in capsys.readouterr().err
    assert main(["reconstruct", "a.png", "--preset", "hdr", "--method", "tv"]) == 2
    error = capsys.readouterr().err
    assert "needs a linear operator" in error and "gradient" in error
