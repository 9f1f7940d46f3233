"""A new task is one new file of another package: idm knows nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from idmcli import tasks
from idmcli.cli import main
from idmcli.io.images import read_image, write_image
from idmcli.metrics import psnr
from tests.distributions import install, use
from tests.small import camera

CODE = '''
"""Defocus, as another package would add it: the operator, the task, and the method that reconstructs it by default."""

from dataclasses import dataclass

import torch

from idmcli.methods.defaults import Choice, Defaults
from idmcli.operators import LinearOperator
from idmcli.ranges import Positive
from idmcli.tasks import Amount, OperatorOptions, Task


class Defocus(LinearOperator):
    """Convolution with a Gaussian, periodic, by the discrete Fourier transform."""

    kind = "defocus"

    def __init__(self, image_shape, width):
        super().__init__()
        self.image_shape = self.measurement_shape = tuple(image_shape)
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
        return cls(spec["image_shape"], spec["width"])


@dataclass(frozen=True)
class DefocusOptions(OperatorOptions):
    width: Positive = 1.0  # standard deviation of the blur, in pixels


class DefocusTask(Task[DefocusOptions]):
    kind = "defocus"
    summary = "defocus: a picture out of focus"
    options = DefocusOptions

    def operator_type(self):
        return Defocus

    def operator(self, options, image_shape, item):
        return Defocus(image_shape, options.width)

    def amount(self, operator):
        return Amount(1.0, f"a blur of {operator.width:g} pixels")


TASK = DefocusTask()
DEFAULTS = Defaults(choices=(Choice("tikhonov"), Choice("hqs")))
'''
ENTRIES = {
    "idmcli.tasks": {"defocus": "TASK"},
    "idmcli.operators": {"defocus": "Defocus"},
    "idmcli.defaults": {"defocus": "DEFAULTS"},
}
DEFOCUS = ["--set", "task.kind=defocus"]


@pytest.fixture(autouse=True)
def defocus(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package with a task, and a folder with a picture."""
    use(install(folder / "site", "my_optics", CODE, ENTRIES), monkeypatch)
    (folder / "pictures").mkdir()
    write_image("pictures/a.png", camera(48)[0, 0].numpy())


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
    assert "operator.ratio is for task cs, hadamard, inpainting or mri, and the task is defocus" in error
