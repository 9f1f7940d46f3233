"""Which weights files load as a prior, and formats that packages add."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from idmcli.config import SolverConfig
from idmcli.errors import ConfigError, InputError
from idmcli.methods import Methods
from idmcli.models import Denoiser, InvertibleDiffusion
from idmcli.models.checkpoints import save_weights
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.sampler import SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.operators import Problem
from idmcli.priors import FunctionPrior, Source, format_names, formats, is_prior, load_prior
from tests.distributions import POWERS, install, use
from tests.small import OPERATORS, Gaussian, picture, random

SIGMA = torch.full((1, 1, 1, 1), 0.3)


def recognised(path: Path) -> list[str]:
    """The names of the formats that recognise a file or a folder."""
    source = Source(path)
    return [name for name in format_names() if formats.PRIORS.find(name).recognises(source)]


def offer_format(monkeypatch: pytest.MonkeyPatch, folder: Path, module: str, code: str) -> None:
    """Install a package that offers its FORMAT, and let idm look for formats again."""
    use(install(folder / "site", module, code, {"idmcli.priors": {module: "FORMAT"}}), monkeypatch)


def config(steps: int = 0, mean: float = 0.45) -> DenoiserConfig:
    torch.manual_seed(0)
    return DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=steps), mean)


def test_a_noise_estimator_loads_with_what_its_file_says(tmp_path: Path) -> None:
    network = Denoiser(config(mean=0.3))
    levels = {"config": {"training": {"sigma_min": 0.02, "sigma_max": 0.7}}}
    save_weights(tmp_path / "mine.safetensors", network, training=levels)
    prior = load_prior(str(tmp_path / "mine.safetensors"))
    assert prior is not None and recognised(tmp_path / "mine.safetensors") == ["idm"]
    assert (prior.name, prior.noise_levels) == ("mine", (0.02, 0.7))
    assert (prior.domain.mean, prior.domain.channels, prior.domain.complex) == (0.3, 1, False)


def test_what_is_no_prior_is_not_recognised(tmp_path: Path) -> None:
    save_weights(tmp_path / "idm.safetensors", InvertibleDiffusion(SamplerConfig(config(2))), training={})
    (tmp_path / "torn.safetensors").write_bytes(b"\x08")
    for name in ("idm.safetensors", "torn.safetensors", "none.safetensors"):
        assert load_prior(tmp_path / name) is None and not is_prior(tmp_path / name)


def test_an_installed_package_adds_a_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "white.power"
    path.write_text("0.09")
    assert load_prior(path) is None
    offer_format(monkeypatch, tmp_path, "powers", POWERS)
    prior = load_prior(path)
    assert isinstance(prior, FunctionPrior) and is_prior(path) and format_names()[-1] == "powers"
    r = random(1, 1, 4, 4, dtype=torch.float32)
    torch.testing.assert_close(prior(r, SIGMA), Gaussian(0.09)(r, SIGMA))


def test_formats_of_packages_come_after_those_of_idm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that recognises everything gets what is left."""
    everything = POWERS.replace('source.path.suffix == ".power"', "True")
    offer_format(monkeypatch, tmp_path, "everything", everything)
    save_weights(tmp_path / "mine.safetensors", Denoiser(config()), training={})
    prior = load_prior(tmp_path / "mine.safetensors")
    assert prior is not None and not isinstance(prior, FunctionPrior)
    (tmp_path / "left.txt").write_text("0.09")
    assert isinstance(load_prior(tmp_path / "left.txt"), FunctionPrior)


def test_a_package_takes_what_idm_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A network whose names are those of a DnCNN, and a checkpoint that holds more than tensors."""
    named, more = tmp_path / "0.09.pth", tmp_path / "0.25.pth"
    torch.save({"model.0.weight": torch.zeros(2, 1, 3, 3)}, named)
    torch.save({"state_dict": {"scale": torch.zeros(1)}, "epoch": 3}, more)
    refused = {named: "a network of 1 convolutions from 1 to 2 channels", more: "holds more than named tensors"}
    for path, message in refused.items():
        with pytest.raises(InputError, match=message):
            load_prior(path)
    taking = POWERS.replace('== ".power"', '== ".pth"').replace("source.path.read_text()", "source.path.stem")
    offer_format(monkeypatch, tmp_path, "taking", taking)
    for path in refused:
        prior = load_prior(path)
        assert isinstance(prior, FunctionPrior) and prior.name == path.stem
    (tmp_path / "neither.pt").write_bytes(b"torn")
    with pytest.raises(InputError, match="is not a readable weights file"):  # as idm says it
        load_prior(tmp_path / "neither.pt")


def test_packages_that_fail_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "white.power"
    path.write_text("0.09")
    for module, before, after, message in (
        ("unwell", 'source.path.suffix == ".power"', "source.nothing", "AttributeError: 'Source' object"),
        ("uncertain", "float(", "int(", "ValueError: invalid literal"),
        ("useless", "return FunctionPrior(best", "return dict(best=best", "TypeError: dict is no prior over a network"),
    ):
        with monkeypatch.context() as patch:
            offer_format(patch, tmp_path / module, module, POWERS.replace(before, after))
            with pytest.raises(ConfigError, match=f"'{module}' of {module}:FORMAT failed for .*: {message}") as caught:
                load_prior(path)
        assert "\n" not in caught.value.message and caught.value.hint == "mend or remove the package that offers it"
    refusing = POWERS.replace("power = float", "raise InputError('too dark', ''); float").replace(
        "from idmcli.priors", "from idmcli.errors import InputError\nfrom idmcli.priors"
    )
    offer_format(monkeypatch, tmp_path, "refusing", refusing)
    with pytest.raises(InputError, match="^too dark$"):
        load_prior(path)


def test_a_method_reconstructs_with_the_format_of_a_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    offer_format(monkeypatch, tmp_path, "powers", POWERS)
    path, operator = tmp_path / "white.power", OPERATORS["cs-global"]
    path.write_text("0.09")
    settings = SolverConfig(options={"iterations": 3})
    method = Methods(torch.device("cpu")).method("hqs", operator, None, settings, prior=str(path))
    problem = Problem(operator, operator.A(picture(operator).float()))
    torch.testing.assert_close(method(problem), replace(method, weights=Gaussian(0.09))(problem))
    assert method.weights_name == "white"


def test_the_command_line_reconstructs_with_the_format_of_a_package(tmp_path: Path) -> None:
    site = install(tmp_path / "site", "powers", POWERS, {"idmcli.priors": {"powers": "FORMAT"}})
    (tmp_path / "white.power").write_text("0.09")
    few = ["--ratio=0.5", "--method=hqs", "--set=solver.iterations=2"]
    command = [sys.executable, "-m", "idmcli", "reconstruct", "--example", *few, "--json", "--prior", "white.power"]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site), os.environ["PYTHONPATH"]])}
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    content = json.loads(done.stdout)
    assert content["results"][0]["psnr"] > 10 and content["warnings"] == []
    assert (tmp_path / "reconstructions/camera.png").is_file()
