"""Kinds of learned models: idm's own, and one that another package adds in one file."""

from __future__ import annotations

from pathlib import Path

import pytest

import idmcli
from idmcli import learned
from idmcli.cli import main
from idmcli.plugins import MODELS
from tests.cli.photos import draw_photos
from tests.distributions import install, use

CODE = '''
"""A network of one convolution that corrects A+ y: settings, how it is built, trained and used."""

from dataclasses import dataclass

import torch
from torch import nn

from idmcli.learned.base import ModelKind
from idmcli.config import ModelSettings
from idmcli.models import Network
from idmcli.ranges import Count
from idmcli.solvers import Solver
from idmcli.training.end_to_end import EndToEndStage


@dataclass(frozen=True)
class Settings(ModelSettings):
    kind: str = "one-layer"
    side: Count = 3


@dataclass(frozen=True)
class Shape:
    side: int


class OneLayer(Network):
    kind = "one-layer"

    def __init__(self, config):
        super().__init__()
        self.config = config
        self.convolution = nn.Conv2d(1, 1, config.side, padding=config.side // 2)

    def forward(self, y, operator, plan=None, noise=0.0):
        x = operator.pinv(y)
        return x + self.convolution(x)


class Kind(ModelKind):
    name, noun, settings = "one-layer", "a network of one layer", Settings
    starts_from, method, for_measurements = ("one-layer",), "one-layer", True

    def build(self, config):
        return OneLayer(Shape(config.model.side))

    def restore(self, settings):
        return OneLayer(Shape(int(settings["side"])))

    def stage(self, config, crops, validation, device, plan=None):
        return EndToEndStage(crops, validation, config, device, plan)


def reconstruct(problem, network, options, generator, progress):
    return network.reconstruct(problem.y, problem.operator, problem.noise)


KIND = Kind()
SOLVER = Solver(
    "one-layer",
    "a network of one layer",
    reconstruct,
    needs=frozenset({"one-layer", "linear", "real"}),
    meets=frozenset(),
)
'''


def test_every_kind_says_what_it_is() -> None:
    for name in MODELS.names():
        kind = learned.find(name)
        assert kind.name == name and kind.settings().kind == name and set(kind.starts_from) <= set(MODELS.names())


@pytest.mark.usefixtures("folder")
def test_a_new_kind_is_one_file_of_another_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    entries = {"idmcli.models": {"one-layer": "KIND"}, "idmcli.solvers": {"one-layer": "SOLVER"}}
    use(install(tmp_path / "site", "one_layer", CODE, entries), monkeypatch)
    draw_photos()
    settings = ["model.side=5", "training.iterations=2", "training.batch=1", "training.patch=16"]
    settings += ["operator.block=8", "operator.ratio=0.5"]
    arguments = [argument for setting in settings for argument in ("--set", setting)]
    train = ["train", "--set", "model.kind=one-layer", *arguments, "--data", "photos", "--out", "run"]
    assert main([*train, "--set", "training.workers=0"]) == 0
    capsys.readouterr()
    assert main(["info", "run/weights.safetensors"]) == 0
    assert "one-layer" in capsys.readouterr().out
    sensed = ["sense", "photos/0.png", "--ratio", "0.5", "--set", "operator.block=8"]
    assert main(sensed) == 0
    assert main(["reconstruct", "measurements/0.safetensors", "--weights", "run/weights.safetensors"]) == 0
    assert Path("reconstructions/0.png").is_file()
    m = idmcli.load("measurements/0.safetensors")
    assert idmcli.reconstruct(m, weights="run/weights.safetensors").shape == (40, 36)
