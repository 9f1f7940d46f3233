"""LPIPS, by a stand-in for the package, which is no dependency."""

from __future__ import annotations

import importlib.machinery
import sys
from types import ModuleType

import pytest
import torch
from torch import Tensor, nn

from idmcli.errors import ConfigError
from idmcli.evaluation import perceptual
from idmcli.evaluation.perceptual import load_lpips

CPU = torch.device("cpu")


class Stub(nn.Module):
    """Like theirs: three channels from -1 to 1."""

    def __init__(self, net: str, verbose: bool) -> None:
        super().__init__()
        assert net == "alex" and not verbose

    def forward(self, x: Tensor, ref: Tensor) -> Tensor:
        assert x.shape[1] == ref.shape[1] == 3 and float(x.min()) >= -1 and float(ref.max()) <= 1
        return (x - ref).abs().mean((1, 2, 3), keepdim=True)


def installed(monkeypatch: pytest.MonkeyPatch, network: type) -> None:
    package = ModuleType("lpips")
    package.__spec__ = importlib.machinery.ModuleSpec("lpips", None)
    package.LPIPS = network  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "lpips", package)


def test_it_is_none_where_the_package_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(perceptual, "find_spec", lambda name: None)
    assert load_lpips(CPU) is None


@pytest.mark.parametrize("channels", [1, 3])
def test_images_are_put_on_its_scale(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    installed(monkeypatch, Stub)
    lpips = load_lpips(CPU)
    assert lpips is not None
    black, white = torch.zeros(1, channels, 8, 8), torch.ones(1, channels, 8, 8)
    assert lpips(black, black) == 0.0 and lpips(black, white) == 2.0  # the whole way from -1 to 1


def test_one_that_cannot_load_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(**_: object) -> None:
        raise OSError("no route to host\nmore")

    installed(monkeypatch, offline)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match=r"^lpips is installed but cannot load its network: no route to host$"):
        load_lpips(CPU)
