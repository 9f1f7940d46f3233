"""A new task is one new folder, and an entry point for its operator: nothing else knows of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from idmcli import tasks
from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from idmcli.metrics import psnr
from idmcli.operators import OPERATORS
from tests.packages import install
from tests.small import camera

TASK = '''
"""Defocus, as a user would add it."""

from dataclasses import dataclass

from idmcli.ranges import Positive
from idmcli.tasks import Amount, OperatorOptions, Task


@dataclass(frozen=True)
class DefocusOptions(OperatorOptions):
    width: Positive = 1.0  # standard deviation of the blur, in pixels


class DefocusTask(Task[DefocusOptions]):
    kind = "defocus"
    summary = "defocus: a picture out of focus"
    options = DefocusOptions

    def operator_type(self):
        from idmcli.tasks.defocus.operator import Defocus

        return Defocus

    def operator(self, options, image_shape, item):
        return self.operator_type()(image_shape, options.width)

    def amount(self, operator):
        return Amount(1.0, f"a blur of {operator.width:g} pixels")

    def best_methods(self, operator, noise=0.0):
        return ("tikhonov", "hqs")


TASK = DefocusTask()
'''
OPERATOR = '''
import torch

from idmcli.operators import LinearOperator, Specification
from idmcli.operators.checks import check_image_shape
from idmcli.operators.stored import check_arrays


class DefocusSpecification(Specification):
    width: float


class Defocus(LinearOperator):
    """Convolution with a Gaussian, periodic, by the discrete Fourier transform."""

    kind = "defocus"

    def __init__(self, image_shape, width):
        super().__init__()
        self.image_shape = self.measurement_shape = check_image_shape(image_shape)
        self.width = float(width)
        rows, columns = (torch.fft.fftfreq(n, dtype=torch.float64) for n in self.image_shape[1:])
        squared = rows[:, None] ** 2 + columns**2
        self.register_buffer("response", torch.exp(-2 * (torch.pi * width) ** 2 * squared), persistent=False)

    def A(self, x):
        self.check_image(x)
        return torch.fft.ifft2(torch.fft.fft2(x) * self.response.to(x.dtype)).real

    def AT(self, y):
        self.check_measurements(y)
        return self.A(y)

    def to_spec(self):
        return {"kind": self.kind, "image_shape": list(self.image_shape), "width": self.width}

    @classmethod
    def from_spec(cls, spec, arrays):
        read = DefocusSpecification.read(spec)
        check_arrays(read.kind, arrays, [])
        return cls(read.image_shape, read.width)
'''
DEFOCUS = ["--set", "task.kind=defocus"]


@pytest.fixture(autouse=True)
def defocus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A task in a folder of one's own beside those of idm, and a folder with a picture."""
    (folder / "mine/defocus").mkdir(parents=True)
    (folder / "mine/defocus/__init__.py").write_text(TASK)
    (folder / "mine/defocus/operator.py").write_text(OPERATOR)
    monkeypatch.setattr(tasks, "__path__", [*tasks.__path__, str(folder / "mine")])
    install(monkeypatch, folder / "installed", OPERATORS, {"defocus": "idmcli.tasks.defocus.operator:Defocus"})
    (folder / "pictures").mkdir()
    write_image("pictures/a.png", camera(48)[0, 0].numpy())
    yield
    for name in [name for name in sys.modules if name.startswith("idmcli.tasks.defocus")]:
        del sys.modules[name]
    vars(tasks).pop("defocus", None)


def results(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main([*arguments, "--json"]) == 0
    found: list[dict[str, object]] = json.loads(capsys.readouterr().out)["results"]
    return found


def test_it_is_sensed_reconstructed_and_scored(capsys: pytest.CaptureFixture[str]) -> None:
    noisy = [*DEFOCUS, "--set", "operator.width=1.2", "--noise", "0.005"]
    (sensed,) = results(capsys, "sense", "pictures/a.png", *noisy)
    assert (sensed["kind"], sensed["ratio"]) == ("defocus", 1.0)

    (restored,) = results(capsys, "reconstruct", "measurements/a.safetensors", "--out", "file")
    (direct,) = results(capsys, "reconstruct", "pictures/a.png", *noisy)
    assert restored["method"] == direct["method"] == "tikhonov"
    assert Path("file/a.png").read_bytes() == Path("reconstructions/a.png").read_bytes()
    x = camera(48)
    operator = tasks.find("defocus").operator_type()((1, 48, 48), 1.2)  # type: ignore[call-arg]
    blurred = float(psnr(operator.A(x), x))
    assert isinstance(direct["psnr"], float) and direct["psnr"] > blurred + 2

    (score,) = results(capsys, "eval", "--data", "pictures", *noisy)
    assert score["psnr"] == pytest.approx(direct["psnr"]) and score["method"] == "tikhonov"


def test_every_method_that_fits_takes_it(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--set", "solver.steps=3"]
    (found,) = results(capsys, "reconstruct", "pictures/a.png", *DEFOCUS, "--method", "ddnm", *short)
    assert found["method"] == "ddnm" and np.ptp(read_image(Path(str(found["output"]))).pixels) > 0.3
    assert main(["reconstruct", "pictures/a.png", *DEFOCUS, "--method", "vamp", "--overwrite"]) == 2
    assert "which this defocus operator is not" in capsys.readouterr().err


def test_its_options_are_checked_and_those_of_others_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sense", "pictures/a.png", *DEFOCUS, "--set", "operator.width=0", "--ratio", "0.5"]) == 2
    error = capsys.readouterr().err
    assert "operator.width = 0: expected greater than 0" in error
    assert "operator.ratio is for task cs, inpainting or mri, and the task is defocus" in error
