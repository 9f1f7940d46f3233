"""Which weights files load as a prior."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from idmcli.models import Denoiser, InvertibleDiffusion
from idmcli.models.checkpoints import save_weights
from idmcli.models.denoiser import DenoiserConfig
from idmcli.models.sampler import SamplerConfig
from idmcli.models.unet import UNetConfig
from idmcli.priors import formats, load_prior
from tests.small import Gaussian


def config(steps: int = 0, mean: float = 0.45) -> DenoiserConfig:
    torch.manual_seed(0)
    return DenoiserConfig(UNetConfig(channels=(8, 16), blocks=(1, 1), steps=steps), mean)


def test_a_noise_estimator_loads_with_what_its_file_says(tmp_path: Path) -> None:
    network = Denoiser(config(mean=0.3))
    levels = {"config": {"training": {"sigma_min": 0.02, "sigma_max": 0.7}}}
    save_weights(tmp_path / "mine.safetensors", network, training=levels)
    prior = load_prior(tmp_path / "mine.safetensors")
    assert prior is not None
    assert (prior.name, prior.noise_levels) == ("mine", (0.02, 0.7))
    assert (prior.domain.mean, prior.domain.channels, prior.domain.complex) == (0.3, 1, False)


def test_what_is_no_prior_is_not_recognised(tmp_path: Path) -> None:
    save_weights(tmp_path / "idm.safetensors", InvertibleDiffusion(SamplerConfig(config(2))), training={})
    (tmp_path / "torn.safetensors").write_bytes(b"\x08")
    for name in ("idm.safetensors", "torn.safetensors", "none.safetensors"):
        assert load_prior(tmp_path / name) is None


def test_a_new_format_is_one_entry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def load(source: formats.Source) -> Gaussian | None:
        path = source.path
        return Gaussian(float(path.read_text()), path.stem) if path.suffix == ".power" else None

    monkeypatch.setattr(formats, "FORMATS", [*formats.FORMATS, formats.Format("power", load)])
    (tmp_path / "white.power").write_text("0.09")
    assert load_prior(tmp_path / "white.power") == Gaussian(0.09, "white")
